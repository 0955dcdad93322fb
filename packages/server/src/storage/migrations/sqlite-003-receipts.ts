/** What each instance of a workload has applied of the trust state, in place of one row for all of them; said anew within seconds. */

export const receiptsSchema = `
DROP TABLE acks;

CREATE TABLE receipts (
  id TEXT NOT NULL,
  instance TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('full', 'callers')),
  delegation INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  authority TEXT NOT NULL,
  PRIMARY KEY (id, scope, instance)
) STRICT, WITHOUT ROWID;
`
