/**
 * What A2A asks of who stands between agents, and what we ask beyond it, by stable id. A rule is proven by the tests that it
 * names; `later` says what of it has none.
 */

import type { TestReference } from './proving-tests.ts'

export interface AgentRule {
  readonly rule: string
  readonly tests: readonly TestReference[]
  readonly later?: string
}

const files = {
  cards: 'test/refusals/agent-cards.test.ts',
  clients: 'test/scenarios/agents.test.ts',
  names: 'test/refusals/agent-names.test.ts',
  program: 'test/refusals/sdk-protect-a2a.test.ts',
  programRpc: 'test/refusals/sdk-protect-rpc.test.ts',
  guide: 'test/scenarios/agents-guide.test.ts',
  refused: 'test/refusals/agents.test.ts',
  rpc: 'test/refusals/json-rpc.test.ts',
  sidecar: 'test/refusals/sidecar-messages.test.ts',
} as const

type File = keyof typeof files

function proven(rule: string, ...tests: readonly (readonly [file: File, name: string])[]): AgentRule {
  return { rule, tests: tests.map(([file, name]) => ({ file: files[file], name })) }
}

const notTheirs = [
  'refused',
  'a task of another caller does not exist: none of its names is good for anybody else, nor is a bare one',
] as const

export const agentRules: Readonly<Record<string, AgentRule>> = {
  'AG-1': proven(
    'clients and servers of A2A 1.0 and 0.3 work through the gateway as they are',
    ['clients', 'the card leads to the gateway, and tasks go on under the names that it gives'],
    ['clients', 'streams come as events, and are taken up again'],
    ['clients', 'callers of A2A 0.3 are served beside those of 1.0'],
    [
      'guide',
      'an agent is refused until an operator has approved its card; then the official client gets on by the card alone',
    ],
  ),
  'AG-2': proven(
    'methods are a closed list, and each is decided as an action on the agent or on a task',
    ['refused', 'without a permission for it no message reaches the agent'],
    ['refused', 'refused before it is sent: a method that nobody lists'],
    ['refused', 'refused before it is sent: an MCP method'],
    ['refused', 'refused before it is sent: a batch'],
  ),
  'AG-3': proven(
    'what is decided about is what the agent reads: one spelling, one version, no second key',
    ['refused', 'refused before it is sent: a second method'],
    ['refused', 'refused before it is sent: a task by the other name'],
    ['refused', 'refused before it is sent: another version in the header'],
    ['refused', 'refused before it is sent: a tenant'],
    ['refused', 'refused before it is sent: another character set'],
  ),
  'AG-4': proven(
    "a task is its principal's: to others it does not exist (A2A 1.0 §3.3.2)",
    notTheirs,
    ['refused', 'a list shows each caller its own tasks and counts no others'],
    ['names', 'what a caller names without a permission is remembered for nobody'],
    ['names', 'an answer that is not passed on makes nothing anybody’s'],
  ),
  'AG-5': proven(
    'an answer or event about a task of another caller is not passed on',
    ['refused', 'an agent that answers with a task of somebody else is not passed on'],
    ['refused', 'an agent that answers with another task than was asked about is not passed on'],
    ['refused', 'a stream breaks off at an event with a task of somebody else'],
  ),
  'AG-6': proven('a stream under way ends when its caller may not have it any more', [
    'refused',
    'a stream under way ends when its caller loses the role',
  ]),
  'AG-7': proven('nothing of the caller but its message reaches the agent', [
    'refused',
    'nothing of the caller goes on but the message: no token, no cookie, no extension',
  ]),
  'AG-8': proven(
    'no agent is told to send requests to a URL of its caller',
    ['refused', 'refused before it is sent: a URL for notifications'],
    ['refused', 'refused before it is sent: notifications of a task'],
    ['refused', 'refused before it is sent: notifications of a task in 0.3'],
  ),
  'AG-9': proven(
    'a card is what an operator has approved and a configured key has signed, or nothing goes through',
    ['cards', 'a card that has changed is refused, and every call with it, until an operator approves it'],
    ['cards', 'a card that is signed by a configured key passes; by another key, or altered since, it does not'],
    ['cards', 'where approval is required nothing passes before it'],
    ['cards', 'while the card of an agent cannot be had, nothing goes there'],
    [
      'cards',
      'a card that is looked at anew while it is answered is the one that was judged, and the question goes nowhere',
    ],
  ),
  'AG-10': proven('callers see a card that leads to the gateway and promises what passes', [
    'cards',
    'the card is shown with our URL and our ways to get in, and nothing that does not pass',
  ]),
  'AG-11': proven(
    'plain JSON-RPC is decided by declared method and effect',
    ['rpc', 'a declared method is allowed by its effect or its name, and sent to the one URL as it came'],
    ['rpc', 'refused before it is sent: a method that is not declared'],
    ['rpc', 'a body goes on as what it was read as, whatever its caller calls it'],
  ),
  'AG-12': proven(
    'a callee behind no gateway decides about A2A and JSON-RPC by the same path',
    [
      'program',
      'the official client gets on by the card, and the agent knows its tasks under its own names and its caller',
    ],
    ['program', 'each method is decided by itself, and whoever may do nothing sees no card'],
    ['program', 'a task of another caller does not exist, whatever it is called'],
    ['program', 'an answer that is none to the request, or names a task of somebody else, is told to nobody'],
    ['program', 'a stream under way ends when its caller loses the role'],
    ['programRpc', 'a declared method is allowed by its effect or its name, and delivered as it came'],
  ),
  'AG-13': proven(
    'a program behind a sidecar that is asked over A2A or JSON-RPC is judged by the same path',
    [
      'sidecar',
      'the official client asks the official server through both sidecars, which is told who it is about which message',
    ],
    ['sidecar', 'behind a sidecar a task of another caller does not exist'],
    ['sidecar', 'behind a sidecar an answer that names a task of somebody else is told to nobody'],
    ['sidecar', 'behind a sidecar a stream of a task ends when its caller loses the role'],
    ['sidecar', 'behind a sidecar declared methods of JSON-RPC are decided by the body, and delivered as it came'],
  ),
}
