/** What is asked of trust states, heartbeats and epochs, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const identity = 'packages/core/src/identity'
const scopes = 'unit/sdk/trust-scope'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, [file, test]: readonly [string, string], edit: Change): Control {
  return { name, edits: [edit], test: { file: `test/${file}.test.ts`, name: test } }
}

export const trustControls: readonly Control[] = [
  control(
    'trust_state.scope',
    [scopes, 'RV-1: who follows applies no state of the other scope, and goes on with the next of its own'],
    {
      file: `${identity}/signed-trust-state.ts`,
      from: 'if (state.scope !== scope)',
      to: "if (state.trustDomain === '')",
    },
  ),
  control(
    'trust_state.scope_at_join',
    [scopes, 'RV-1: who joins takes no state of the other scope along with its certificate'],
    {
      file: `${identity}/signed-trust-state.ts`,
      from: 'if (state.scope !== scope)',
      to: "if (state.trustDomain === '')",
    },
  ),
  control(
    'heartbeat.scope',
    [scopes, 'RV-3: a heartbeat of the other scope confirms nothing to who follows, and the next of its own does'],
    { file: `${identity}/heartbeat.ts`, from: 'if (heartbeat.scope !== current.scope)', to: "if (trustDomain === '')" },
  ),
  control(
    'trust_state.epoch',
    ['unit/core/identity-trust-state', 'a lower epoch is a rollback whatever the sequence'],
    {
      file: `${identity}/signed-trust-state.ts`,
      from: 'if (current !== undefined && epoch < current.epoch)',
      to: 'if (current !== undefined && epoch < 0)',
    },
  ),
  control(
    'trust_anchors.epoch',
    [
      'unit/core/identity-trust-anchors',
      'a statement older than what was seen, by delegation, sequence or epoch, is refused',
    ],
    { file: `${identity}/trust-anchors.ts`, from: "=== 'older' || epoch < current.epoch)", to: "=== 'older')" },
  ),
  control(
    'token.epoch_of_system',
    [
      'refusals/epoch-begun',
      'RV-6: when an epoch begins, answers under way end, certificates of the one before get no connection, and tokens of it are refused',
    ],
    {
      file: 'packages/core/src/token/judge-claims.ts',
      from: 'claims[epochClaim] >= expect.epoch',
      to: 'claims[epochClaim] >= 0',
    },
  ),
  control(
    'token.epoch_meanwhile',
    [
      'refusals/epoch-begun',
      'RV-6: a call whose body comes slowly is refused when the epoch of its token ends meanwhile, though its certificate stays good',
    ],
    {
      file: 'packages/enforcement/src/withdrawal.ts',
      from: 'token.epoch !== null && token.epoch < view.state.epoch',
      to: 'token.epoch !== null && token.epoch < 0',
    },
  ),
  control(
    'key.epoch',
    [
      'unit/server/authority-slot-schedule',
      'RV-6: a key of an earlier epoch is dead, and its successor is of the new one',
    ],
    {
      file: 'packages/server/src/authority/slot-schedule.ts',
      from: 'denied.has(slot.keyId) || slot.epoch < epoch) return true',
      to: 'denied.has(slot.keyId)) return true',
    },
  ),
  control(
    'server.epoch',
    [
      'unit/sdk/recall',
      'RV-6: servers of an earlier epoch are refused, and what they are judged by is what we are judged by',
    ],
    {
      file: 'packages/sdk/src/server-identity.ts',
      from: 'if (epoch !== undefined && epoch < trust.state.epoch)',
      to: 'if (epoch !== undefined && epoch < 0)',
    },
  ),
  control(
    'audience.of_a_workload',
    ['refusals/audiences', 'a token is minted for an audience while a workload has it, and for nothing beside it'],
    {
      file: 'packages/server/src/authority/authority.ts',
      from: 'isOurs(audience) || (await audienceHolder(audience)) !== null',
      to: 'isOurs(audience) || audience !== issuer',
    },
  ),
  control(
    'audience.of_one',
    ['refusals/audiences', 'an audience belongs to one workload, and none of Doorward itself is registered'],
    {
      file: 'packages/server/src/authority/registration-check.ts',
      from: 'isOwnAudience(audience)\n',
      to: "isOwnAudience('')\n",
    },
  ),
  control(
    'trust_state.full_for_callees',
    ['refusals/audiences', 'who has an audience follows the whole trust state, and callers recognise its certificates'],
    {
      file: 'packages/core/src/policy/builtin.ts',
      from: "path: '/v1/trust-state/full', group: 'read', open: 'decider' }",
      to: "path: '/v1/trust-state/full', group: 'read', open: 'caller' }",
    },
  ),
]
