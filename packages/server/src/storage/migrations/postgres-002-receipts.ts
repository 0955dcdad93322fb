/**
 * What each instance of a workload has applied of the trust state, in place of one row for all of them. Programs of before go on
 * with `acks`: until they have ended, each hears only of what its own kind is told.
 */

export const postgresReceiptsSchema = `
CREATE TABLE receipts (
  id words NOT NULL,
  instance words NOT NULL,
  scope words NOT NULL CHECK (scope IN ('full', 'callers')),
  delegation bigint NOT NULL,
  sequence bigint NOT NULL,
  at bigint NOT NULL,
  authority words NOT NULL,
  PRIMARY KEY (id, scope, instance)
);
`
