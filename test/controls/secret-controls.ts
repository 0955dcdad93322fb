/** What keeps secrets with those who may have them, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const secrets = 'packages/server/src/apps/credentials/gateway-secrets.ts'
const header = 'packages/server/src/apps/credentials/header-credential.ts'
const sender = 'packages/server/src/transports/server-credential.ts'
const client = 'packages/server/src/apps/credentials/client-credentials.ts'
const exchange = 'packages/server/src/apps/credentials/token-exchange.ts'
const held = 'packages/server/src/apps/credentials/held-tokens.ts'
const subject = 'packages/server/src/apps/credentials/exchanged-subject.ts'
const tokens = 'packages/server/src/transports/token-request.ts'
const store = 'packages/server/src/secrets/secret-store.ts'

function control(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/server-credentials.test.ts', name: test } }
}

function ofSource(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/contract/secret-source.test.ts', name: test } }
}

function ofClient(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/server-credentials-oauth.test.ts', name: test } }
}

function ofExchange(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/token-exchange.test.ts', name: test } }
}

export const secretControls: readonly Control[] = [
  {
    name: 'secrets.open_files',
    edits: [
      {
        file: 'packages/server/src/config/credentials-directory.ts',
        from: 'return (mode & 0o077) !== 0 && !isHandedOver',
        to: 'return mode < 0 && !isHandedOver',
      },
    ],
    test: {
      file: 'test/unit/server/config-credentials.test.ts',
      name: 'the group may read what belongs to root and nobody can change; all else is for the owner alone',
    },
  },
  control('secrets.servers', 'a secret of another server is not sent, whatever the server asks for', {
    file: secrets,
    from: 'if (known === undefined || !known.settings.servers.includes(server))',
    to: 'if (known === undefined)',
  }),
  control('secrets.roles', 'a secret that is narrowed to roles is sent for callers who have one, and for no other', {
    file: secrets,
    from: 'return roles === null || (principal',
    to: 'return roles !== undefined || (principal',
  }),
  control('secrets.by', 'by roles, the first that fits is taken, and whom none fits is refused', {
    file: header,
    from: '?.secret ?? null\n  }\n}',
    to: '?.secret ?? rows[0]?.secret ?? null\n  }\n}',
  }),
  control('secrets.unsent', 'without a value nothing is sent', {
    file: sender,
    from: "if ('code' in found) return fail(handler, new CredentialError(found))",
    to: "if ('code' in found) return this.#send(request, handler)",
  }),
  control('secrets.header', 'a value that no header can carry is not sent in part', {
    file: header,
    from: 'if (!FIELD_VALUE.test(text))',
    to: "if (text === '')",
  }),
  control(
    'secrets.refused',
    'a server that refuses its credential is told so, and asked no second time with the same',
    {
      file: header,
      from: "if (wish.refused?.use['secret'] === name && ",
      to: "if (wish.refused?.use['secret'] === '' && ",
    },
  ),
  control('secrets.redacted', 'an answer that says the value back is without it, where redact is on', {
    file: header,
    from: '  parts.known.remember(`${name} ${version}`, value)\n',
    to: '',
  }),
  control(
    'secrets.recorded',
    'each use is on record with the name and the version of the secret, and the value nowhere',
    {
      file: sender,
      from: 'if (Object.keys(found.use).length > 0) sender.onUse(found.use)',
      to: 'void sender.onUse',
    },
  ),
  ofExchange(
    'token_exchange.people',
    'for whom nothing may be said nothing is asked: workloads, and people of another issuer',
    {
      file: subject,
      from: 'if (subject.issuer === people) return',
      to: 'if (subject.issuer !== people || people !== null) return',
    },
  ),
  ofExchange(
    'token_exchange.workloads',
    'for whom nothing may be said nothing is asked: workloads, and people of another issuer',
    {
      file: subject,
      from: 'if (workloads) return',
      to: 'if (workloads || people !== null) return',
    },
  ),
  ofExchange('token_exchange.actors', 'another agent for the same person has a token of its own', {
    file: subject,
    from: 'key: JSON.stringify([subjectName(subject), ...actors.map(({ uri }) => uri)]),',
    to: 'key: subjectName(subject),',
  }),
  ofExchange('token_exchange.once', 'however many calls wait, one question is asked', {
    file: held,
    from: '    if (other?.versions === versions) return other.answer\n',
    to: '',
  }),
  ofExchange('token_exchange.life', 'a token is not used at the end of its life', {
    file: held,
    from: ' || this.#monotonic() >= held.until) return null',
    to: ') return null',
  }),
  ofExchange(
    'token_exchange.versions',
    'with another key or another secret of the client there is no token, from the next call on',
    {
      file: held,
      from: 'if (held.versions !== versions || ',
      to: 'if (',
    },
  ),
  ofExchange('token_exchange.kind', 'with the provider down, slow or answering with something else, nothing is sent', {
    file: exchange,
    from: 'if (answer.issuedType !== ACCESS_TOKEN)',
    to: "if (answer.issuedType === '')",
  }),
  ofExchange('token_exchange.denied', 'a person who is denied has no token any more, and the provider is told', {
    file: exchange,
    from: 'const unfollow = parts.denials.onChange(() => this.#review())',
    to: 'const unfollow = () => undefined',
  }),
  ofExchange('token_exchange.meanwhile', 'a person who is denied while a token is asked for gets none of it', {
    file: exchange,
    from: 'if (!this.#ended && !this.#isDenied(held))',
    to: 'if (!this.#ended && held.asked > 0)',
  }),
  ofExchange(
    'token_exchange.under_way',
    'tokens go back when their server is taken away or changed, also one that is asked for, and nothing goes with it',
    { file: exchange, from: '.then(() => this.#settled())', to: '' },
  ),
  ofExchange(
    'token_exchange.ended',
    'tokens go back when their server is taken away or changed, also one that is asked for, and nothing goes with it',
    {
      file: exchange,
      from: 'const left = [...this.#tokens.take(() => true)]',
      to: 'const left = [...this.#tokens.take(() => false)]',
    },
  ),
  ofExchange(
    'token_exchange.ended_meanwhile',
    'tokens go back when their server is taken away or changed, also one that is asked for, and nothing goes with it',
    { file: exchange, from: 'if (!this.#ended && !this.#isDenied(held))', to: 'if (!this.#isDenied(held))' },
  ),
  ofExchange(
    'token_exchange.clock',
    'by the clock of the trust state a token is younger than a denial or older, whatever the machine says',
    {
      file: exchange,
      from: 'const asked = denials.nowSeconds()',
      to: 'const asked = secrets.nowSeconds() + 0 * denials.nowSeconds()',
    },
  ),
  ofExchange('token_exchange.refused', 'whom the provider gives no token is refused, and nobody else', {
    file: exchange,
    from: 'REFUSES_SUBJECT.has(error.got',
    to: 'REFUSES_SUBJECT.has(error.code',
  }),
  ofExchange('token_exchange.others', 'whom the provider gives no token is refused, and nobody else', {
    file: exchange,
    from: 'if (isDoorwardError(error) && CONCERNS_ALL.test(error.code))',
    to: 'if (isDoorwardError(error))',
  }),
  ofClient('client.roles', 'a secret that is narrowed to roles gives its token to nobody else', {
    file: client,
    from: "    if ('code' in used) return principal === null && used.code === 'credential_withheld' ? NONE : used\n",
    to: "    if ('code' in used) return this.#held?.fields ?? used\n",
  }),
  ofClient(
    'client.version',
    'another secret counts with the next call: with one that is wrong there is no token, and nothing is sent',
    {
      file: client,
      from: 'if (this.#held?.version === used.version && now',
      to: 'if (this.#held !== null && now',
    },
  ),
  ofClient('client.once', 'a server that refuses every token is told so, and has no token asked for with every call', {
    file: client,
    from: 'if (monotonic() - this.#held.since < PAUSE_MILLISECONDS)',
    to: 'if (monotonic() < 0)',
  }),
  ofClient(
    'client.failed',
    'an authorization server that fails, lies or sends elsewhere gives no token, and is not asked by every call',
    {
      file: client,
      from: 'if (this.#failed?.version === used.version && now < this.#failed.until) return this.#failed.failure',
      to: '',
    },
  ),
  ofClient(
    'client.bearer',
    'an authorization server that fails, lies or sends elsewhere gives no token, and is not asked by every call',
    {
      file: tokens,
      from: "if (!fits(access) || typeof type !== 'string' || type.toLowerCase() !== 'bearer')",
      to: 'if (!fits(access))',
    },
  ),
  ofClient(
    'client.issuer',
    'where tokens are given is found by the issuer, which must be itself; never at an address that is not allowed',
    {
      file: 'packages/server/src/transports/authorization-server.ts',
      from: "if (values === null || member(values, 'issuer') !== issuer)",
      to: 'if (values === null)',
    },
  ),
  ofSource('secrets.file.mode', 'one that others can read, or anybody else write, is refused', {
    file: 'packages/server/src/secrets/file-source.ts',
    from: '      checkFile(status, path)\n',
    to: '',
  }),
  ofSource('secrets.store.sealed', 'no value is in a file as it is, or in base64', {
    file: store,
    from: 'await writeDurably(this.#path(name), await sealer.seal(utf8(text), contextOf(name)))',
    to: 'await writeDurably(this.#path(name), utf8(text))',
  }),
  ofSource('secrets.store.versions', 'what is put is there after a start, and no version is ever given twice', {
    file: store,
    from: '    this.#sequence = version\n',
    to: '',
  }),
  ofSource('secrets.environment', 'the value is read once, and then it is in no environment of this process', {
    file: 'packages/server/src/config/environment.ts',
    from: '      delete env[name]\n',
    to: '',
  }),
]
