/** What is asked of certificates by ACME, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const live = 'test/refusals/edge-acme.test.ts'
const front = 'test/refusals/front-acme.test.ts'
const configured = 'test/unit/server/config-edge-acme.test.ts'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, test: string, { file, from, to }: Change, tests = live): Control {
  return {
    name,
    edits: [{ file: file.startsWith('packages/') ? file : `packages/server/src/${file}`, from, to }],
    test: { file: tests, name: test },
  }
}

const proof = 'a name is proven to who offers acme-tls/1 alone and for the name, while it is asked for; nothing follows'

const refused = 'while the order is refused the front refuses handshakes, says so, and the rest of the authority serves'

const atTheFront: readonly Control[] = [
  control(
    'acme.front.proof',
    refused,
    { file: 'apps/authority-front.ts', from: '{ proofs: certificates.proofs }', to: '{}' },
    front,
  ),
  control(
    'acme.front.finding',
    refused,
    {
      file: 'apps/authority-desk.ts',
      from: 'listenerCertificateLook(thresholds.renewalPercent, certificates,',
      to: 'listenerCertificateLook(thresholds.renewalPercent, null,',
    },
    front,
  ),
  control(
    'acme.front.sealed_apart',
    'what a gateway has sealed for its edge is not taken for the front, nor the other way round',
    { file: 'apps/acme-store.ts', from: "front: 'authority/acme'", to: "front: 'gateway/acme'" },
    front,
  ),
  control(
    'acme.front.one_authority',
    'several authorities behind one name ask nobody for its certificate: they have files',
    { file: 'config/front-check.ts', from: 'if (authority.database !== undefined)', to: "if (publicUrl === '')" },
    configured,
  ),
  control(
    'acme.front.one_name',
    'front and edge on one host do not both ask: the proof of the name would come to one of them',
    { file: 'config/front-check.ts', from: 'new URL(edge.public_url).hostname === hostname', to: "hostname === ''" },
    configured,
  ),
]

export const acmeControls: readonly Control[] = [
  ...atTheFront,
  control('acme.proof_protocol_alone', proof, {
    file: 'packages/enforcement/src/wire/alpn.ts',
    from: 'protocols.length === 1 ?',
    to: 'protocols.length > 0 ?',
  }),
  control('acme.proof_of_the_name', proof, {
    file: 'apps/acme-proofs.ts',
    from: 'this.#shown?.name === serverName ?',
    to: 'this.#shown !== null ?',
  }),
  control('acme.proof_ends', proof, {
    file: 'apps/acme-proofs.ts',
    from: 'if (this.#shown === shown)',
    to: 'if (this.#shown === null)',
  }),
  control('acme.proof_carries_nothing', proof, {
    file: 'packages/enforcement/src/wire/listener.ts',
    from: 'if (socket.alpnProtocol === acmeProtocol)',
    to: "if (socket.alpnProtocol === '')",
  }),
  control('acme.own_key', 'a certificate for another key is refused', {
    file: 'config/edge-certificate.ts',
    from: 'if (!leaf.checkPrivateKey(privateKey))',
    to: 'if (leaf.raw.length === 0)',
  }),
  control('acme.chain', 'a chain that is none is refused', {
    file: 'apps/acme-certificates.ts',
    from: 'if (broken === -1) return judged',
    to: 'if (broken >= -1) return judged',
  }),
  control('acme.own_name', 'an authorization of another name is refused', {
    file: 'acme/acme-order.ts',
    from: 'if (asked.name !== name)',
    to: "if (asked.name === '')",
  }),
  control('acme.attempts_are_counted_first', 'a process that ends while it asks does not ask at once again', {
    file: 'apps/acme-certificates.ts',
    from: 'await this.#count(this.#failures + 1, null)',
    to: 'this.#failures += 1',
  }),
  control(
    'acme.backoff_until_shown',
    'one that cannot go on record is not shown, and no other one is asked for in its place',
    {
      file: 'apps/acme-certificates.ts',
      from: '      this.#unshown = got\n',
      to: '      this.#unshown = got\n      await this.#count(0, null)\n',
    },
  ),
  control('acme.kept_first', 'one that cannot go on record is not shown, and no other one is asked for in its place', {
    file: 'apps/acme-certificates.ts',
    from: 'this.#waiting() ?? (await this.#order(signal))',
    to: 'await this.#order(signal)',
  }),
  control(
    'acme.restored_on_record',
    'one that was never put on record is not shown after a start either, before it is on record',
    {
      file: 'apps/acme-certificates.ts',
      from: 'if (!kept.entered) return',
      to: 'if (place.directory === kept.directory + kept.directory) return',
    },
    'test/refusals/edge-acme-record.test.ts',
  ),
  control(
    'acme.retry_after.days',
    'an authority that says when to come again is not asked before, after a start neither',
    { file: 'acme/renewal-time.ts', from: '7 * 86_400', to: '86_400' },
  ),
  control('acme.retry_after', 'an authority that says when to come again is not asked before, after a start neither', {
    file: 'acme/renewal-time.ts',
    from: '(retryAfterSeconds ?? 0) * 1000',
    to: '0',
  }),
]
