/** The controls on replacing keys, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const authority = 'packages/server/src/authority'
const ceremonies = 'test/unit/server/ceremony.test.ts'
const refusals = 'test/unit/server/ceremony-refusals.test.ts'
const stages = 'test/unit/server/ceremony-stages.test.ts'
const commands = 'test/scenarios/authority-commands.test.ts'
const rotation = 'test/scenarios/authority-rotation.test.ts'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, [file, test]: readonly [string, string], ...edits: readonly Change[]): Control {
  return { name, edits, test: { file, name: test } }
}

export const ceremonyControls: readonly Control[] = [
  control(
    'rotation.schedule',
    [
      rotation,
      'CA-2: keys are made, published, activated and dropped on their days; a retired anchor signs its revocation list until it goes',
    ],
    {
      file: `${authority}/slot-schedule.ts`,
      from: 'return active === null ? now : active.notAfter - lifetimeSeconds / 2',
      to: 'return active === null ? now : active.notAfter + lifetimeSeconds',
    },
  ),
  control(
    'delegation.keys',
    [refusals, 'by another root, of an old version, for other keys or for too long is refused'],
    { file: `${authority}/delegation-request.ts`, from: 'if (!fits)', to: 'if (delegation === null)' },
  ),
  control('delegation.recovery_keys', [refusals, 'for a recovery names exactly the keys that were made for it'], {
    file: `${authority}/delegation-request.ts`,
    from: ': sameKeys(delegation.keys, statement.keys)',
    to: ': delegation.keys.length > 0',
  }),
  control(
    'delegation.pinned_root',
    [commands, 'a root that is not the pinned one is refused before it signs, and what another one has signed after'],
    {
      file: 'packages/server/src/apps/root-signer.ts',
      from: 'if (signer.fingerprint === rootFingerprint) return',
      to: "if (rootFingerprint !== '') return",
    },
  ),
  control('ceremony.one', [refusals, 'of two that start at the same moment one is refused'], {
    file: `${authority}/ceremony-start.ts`,
    from: '(await store.ceremonies.open(ceremony)) ? ceremony : busy(await store.ceremonies.newest())',
    to: '(await store.ceremonies.open(ceremony)) || ceremony ? ceremony : busy(null)',
  }),
  control(
    'ceremony.denies',
    [ceremonies, 'RV-6: denies every older key and begins an epoch, under new keys that the root has named'],
    {
      file: `${authority}/ceremony-sight.ts`,
      from: "return kind === 'recover' ? slot.epoch < epoch : replaces.includes(slot.keyId)",
      to: "return kind === 'recover' ? slot.epoch < 0 : replaces.includes(slot.keyId)",
    },
  ),
  control(
    'ceremony.excludes',
    [ceremonies, 'an authority that is excluded gets no keys, is not named, and cannot publish any more'],
    {
      file: `${authority}/ceremony.ts`,
      from: '!excluded.some(({ instance }) => instance === one.instance)',
      to: 'excluded.length >= 0',
    },
  ),
  control('ceremony.somebody_signs', [stages, 'never go on while no authority that lives has done its part'], {
    file: `${authority}/ceremony-stages.ts`,
    from: 'if (!live.some(isDone) || (missing.length > 0 &&',
    to: 'if ((missing.length > 0 &&',
  }),
  control(
    'ceremony.journal',
    [ceremonies, 'CA-2: replaces every key in order, and each step is on record before it is taken'],
    {
      file: `${authority}/slot-transition.ts`,
      from: "await log.append({ kind: 'trust', body: { change: `${purpose}.${step}`, key_id: keyId, ...by, ...more } })",
      to: 'void [log, by, more, step, purpose, keyId]',
    },
  ),
  control(
    'ceremony.proof',
    [ceremonies, 'a probe that got in is told in the report, and so is an old key that nobody has tried'],
    {
      file: `${authority}/ceremony-report.ts`,
      from: 'return complete && signed.every(({ keyId }) => tried.has(keyId)) && probes.every(({ ok }) => ok)',
      to: 'return complete || tried.size >= 0',
    },
  ),
  control(
    'ceremony.evidence_destroyed',
    [ceremonies, 'RV-6: denies every older key and begins an epoch, under new keys that the root has named'],
    {
      file: `${authority}/slot-schedule.ts`,
      from: "return isOpen(ceremony) && ceremony?.kind === 'recover' && own !== ceremony.id",
      to: "return ceremony?.kind === 'recover' && own !== ceremony.id",
    },
  ),
]
