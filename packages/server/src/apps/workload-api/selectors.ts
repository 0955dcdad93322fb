/** Who is given which identity: every selector of an entry has to match, and whoever matches none gets nothing. */

import type { Selectors, WorkloadEntry } from '../../config/workload-api-schema.ts'
import type { PeerFacts } from './peer-facts.ts'

type Selector = Exclude<keyof WorkloadEntry, 'identity' | 'hint'>

/** In this order: what costs most comes last. */
const order: readonly Selector[] = ['uid', 'gid', 'systemd_unit', 'cgroup', 'path', 'sha256']

/** The entries that a process matches, in the order of the configuration, one for each identity: the first. */
export async function entriesFor(
  entries: readonly WorkloadEntry[],
  facts: PeerFacts,
): Promise<readonly WorkloadEntry[]> {
  const matching: WorkloadEntry[] = []
  for (const entry of entries) {
    if (matching.some(({ identity }) => identity === entry.identity)) continue
    if ((await failingSelector(entry, facts)) === null) matching.push(entry)
  }
  return matching
}

/** The first selector that does not match, by name; null when all do. Without any selector nobody matches. */
export async function failingSelector(entry: Selectors, facts: PeerFacts): Promise<Selector | 'none' | null> {
  const given = order.filter((name) => entry[name] !== undefined)
  if (given.length === 0) return 'none'
  for (const name of given) if (!(await matches(name, entry, facts))) return name
  return null
}

async function matches(name: Selector, entry: Selectors, facts: PeerFacts): Promise<boolean> {
  switch (name) {
    case 'uid':
      return facts.uid === entry.uid
    case 'gid':
      return facts.gid === entry.gid
    case 'systemd_unit':
      return facts.unit !== null && facts.unit === entry.systemd_unit
    case 'cgroup':
      return facts.cgroup !== null && facts.cgroup === entry.cgroup
    case 'path':
      return entry.path !== undefined && (await facts.isProgram(entry.path))
    case 'sha256': {
      const digest = await facts.digest()
      return digest !== null && digest === entry.sha256
    }
  }
}
