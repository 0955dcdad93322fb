/** What is asked of certificates by ACME, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const live = 'test/refusals/edge-acme.test.ts'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

function control(name: string, test: string, { file, from, to }: Change): Control {
  return {
    name,
    edits: [{ file: file.startsWith('packages/') ? file : `packages/server/src/${file}`, from, to }],
    test: { file: live, name: test },
  }
}

const proof = 'a name is proven to who offers acme-tls/1 alone and for the name, while it is asked for; nothing follows'

export const acmeControls: readonly Control[] = [
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
  control('acme.retry_after', 'an authority that says when to come again is not asked before, after a start neither', {
    file: 'acme/renewal-time.ts',
    from: '(retryAfterSeconds ?? 0) * 1000',
    to: '0',
  }),
]
