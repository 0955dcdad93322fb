import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '@doorward/core'
import {
  credentialSettings,
  secretSettings,
  vaultSettings,
} from '../../../packages/server/src/config/secret-settings.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import type { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { configurationChanges } from '../../../packages/server/src/config/reloading.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

const sound = `trust_domain: acme.example
secrets:
  github: { servers: [github], roles: [researcher] }
  crm: { file: secrets/crm, servers: [crm, orders] }
  old: { env: CRM_TOKEN, servers: [files] }
servers:
  github: { url: "https://github.example/mcp", credential: { secret: github } }
  crm: { url: "https://crm.example/mcp", credential: { by: [ { roles: [a], secret: crm } ], own: crm, header: X-Api-Key } }
  files: { command: [program], env: { MODE: fast, TOKEN: { secret: old } } }
services:
  orders: { url: "https://orders.example", credential: { secret: crm, scheme: Basic } }
`

const session = { path: '/usr/bin', home: '/home/ada', variable: (name: string) => variables[name] }
const variables: Readonly<Record<string, string>> = { XDG_RUNTIME_DIR: '/run/user/1', CRM_TOKEN: 'x' }

function problems(text: string): readonly string[] {
  try {
    parseConfiguration(text, 'doorward.yaml')
    return []
  } catch (error) {
    return (error as ConfigurationError).problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

const changed = (from: string, to: string) => {
  ok(sound.includes(from), from)
  return problems(sound.replace(from, to))
}

test('secrets and credentials are read', async () => {
  const configuration = parseConfiguration(sound, 'doorward.yaml')
  const taken: string[] = []
  const take = (name: string) => (taken.push(name), new Secret('value'))
  const settings = secretSettings({ configuration, folder: '/etc/doorward' }, { ...session, take })
  deepEqual(taken, ['CRM_TOKEN'])
  deepEqual(settings['github'], { place: { kind: 'store' }, servers: ['github'], roles: ['researcher'] })
  deepEqual(settings['crm']?.place, { kind: 'file', path: '/etc/doorward/secrets/crm' })
  equal(JSON.stringify(settings['old']).includes('"value":"[secret]"'), true)
  const { github, crm } = configuration.servers
  deepEqual('url' in github! && (await credentialSettings(github.credential!, '/')), {
    kind: 'secret',
    secret: 'github',
    form: { header: 'authorization', scheme: 'Bearer' },
  })
  deepEqual('url' in crm! && (await credentialSettings(crm.credential!, '/')), {
    kind: 'by',
    by: [{ roles: ['a'], secret: 'crm' }],
    own: 'crm',
    form: { header: 'x-api-key', scheme: null },
  })
})

test('a variable of a secret that is not set stops the start, and is named', () => {
  const configuration = parseConfiguration(sound, 'doorward.yaml')
  throws(() => secretSettings({ configuration, folder: '/' }, { ...session, take: () => undefined }), {
    code: 'environment_missing',
    expected: 'CRM_TOKEN',
  })
})

test('a secret without servers, with two sources, or for nobody is a mistake', () => {
  match(changed('github: { servers: [github], roles: [researcher] }', 'github: { roles: [a] }').join(), /no server/)
  match(changed('servers: [github], roles', 'servers: [], roles').join(), /no server/)
  match(changed('file: secrets/crm,', 'file: secrets/crm, env: CRM,').join(), /two sources/)
  match(changed('roles: [researcher]', 'roles: []').join(), /secrets.github.roles: too short/)
  match(
    changed('servers: [crm, orders]', 'servers: [crm, orders, none]').join(),
    /no server, service or agent of this name/,
  )
})

test('a credential names a secret that there is and that is meant for its server', () => {
  deepEqual(changed('credential: { secret: github }', 'credential: { secret: other }'), [
    'servers.github.credential.secret: there is no secret of this name',
  ])
  deepEqual(changed('credential: { secret: github }', 'credential: { secret: crm }'), [
    'servers.github.credential.secret: this secret is not meant for github',
  ])
  deepEqual(changed('own: crm', 'own: github'), ['servers.crm.credential.own: this secret is not meant for crm'])
  deepEqual(changed('TOKEN: { secret: old }', 'TOKEN: { secret: crm }'), [
    'servers.files.env.TOKEN.secret: this secret is not meant for files',
  ])
  match(changed('{ secret: github }', '{ secret: github, by: [] }').join(), /not a credential/)
  match(changed('{ secret: github }', '{}').join(), /not a credential/)
})

test('a secret of a keyring is found by words that are no options, in the session of the gateway', () => {
  const of = (more: string) => sound.replace('file: secrets/crm', `keyring: ${more}`)
  const configuration = parseConfiguration(of('{ account: notes/crm }'), 'doorward.yaml')
  const { crm } = secretSettings({ configuration, folder: '/' }, { ...session, take: () => new Secret('x') })
  const env = { PATH: '/usr/bin', HOME: '/home/ada', LC_ALL: 'C.UTF-8', XDG_RUNTIME_DIR: '/run/user/1' }
  deepEqual(crm?.place, { kind: 'keyring', service: 'doorward', account: 'notes/crm', env })
  deepEqual(problems(of('{}')), [])
  for (const word of ['-w', '--help', 'a b', '""'])
    match(problems(of(`{ account: ${word} }`)).join(), /not a name/, word)
  match(problems(of('{}, env: CRM')).join(), /two sources/)
})

test('a vault has one way in, and secrets of it need it', async () => {
  const vault = 'vault: { url: "https://vault.example:8200", token_file: token, namespace: team/a }\n'
  const inVault = (more: string, text = vault) =>
    problems(`${text}${sound.replace('github: { servers:', `github: { vault: { ${more} }, servers:`)}`)
  deepEqual(inVault('path: agents/github, field: token'), [])
  deepEqual(inVault('path: agents/github', ''), ['secrets.github.vault: no vault is configured'])
  for (const path of ['../sys', 'a/../b', '/a', 'a/', 'a//b', 'a?b', './a'])
    match(inVault(`path: "${path}"`).join(), /not a path/, path)
  for (const way of ['', 'token_file: t, approle: { role_id: r, secret_id_file: s }'])
    match(
      inVault('path: a', `vault: { url: "https://vault.example"${way === '' ? '' : `, ${way}`} }\n`).join(),
      /no way in/,
    )
  match(inVault('path: a', 'vault: { url: "http://vault.example", token_file: t }\n').join(), /vault.url/)
  match(inVault('path: a', vault.replace('namespace', 'cache_seconds: 301, namespace')).join(), /too large/)
  const configuration = parseConfiguration(`${vault}${sound}`, 'doorward.yaml')
  const settings = await vaultSettings({ configuration, folder: '/etc/doorward' })
  deepEqual([settings?.auth, settings?.cacheMilliseconds], [{ kind: 'token', file: '/etc/doorward/token' }, 30_000])
})

test('tokens of an authorization server are asked for at one place, with a secret of the server', async () => {
  const of = (more: string) =>
    changed('credential: { secret: github }', `credential: { client_credentials: { ${more} } }`)
  const right = 'client_id: gateway, secret: github'
  deepEqual(of(`token_url: "https://login.example/token", ${right}`), [])
  deepEqual(
    of(
      `issuer: "https://login.example", ${right}, auth: private_key_jwt, scopes: [a.b], resource: "https://x.example"`,
    ),
    [],
  )
  match(of(right).join(), /no place to ask, or two/)
  match(of(`issuer: "https://a.example", token_url: "https://a.example/t", ${right}`).join(), /no place to ask, or two/)
  match(of(`token_url: "http://login.example/token", ${right}`).join(), /not an address/)
  match(of(`token_url: "https://login.example/token", ${right}, scopes: ["a b"]`).join(), /not a scope/)
  deepEqual(of('token_url: "https://login.example/token", client_id: gateway, secret: crm'), [
    'servers.github.credential.client_credentials.secret: this secret is not meant for github',
  ])
})

test('who is spoken for at an exchange stands there, with a key for it, and a token is for one server', () => {
  const issuers = 'issuers: { corp: { issuer: "https://login.example" } }\n'
  const of = (more: string) =>
    problems(
      issuers +
        sound.replace('credential: { secret: github }', `credential: { token_exchange: { ${more} }, own: github }`),
    )
  const client = 'issuer: "https://login.example", client_id: gateway, secret: github'
  const said = 'assertion: { issuer: "https://gateway.example", secret: github }'
  const people = 'people: "https://login.example"'
  deepEqual(of(`${client}, ${said}, ${people}, resource: "https://x.example", scopes: [a.b]`), [])
  deepEqual(of(`${client}, ${said}, workloads: true, audience: notes`), [])
  match(of(`${client}, ${said}, audience: notes`).join(), /for nobody/)
  match(of(`${client}, ${said}, ${people}`).join(), /a token for any server/)
  match(of(`${client}, ${people}, audience: notes`).join(), /assertion/)
  match(
    of(`${client}, ${said}, people: "https://other.example", audience: notes`).join(),
    /no people are of this issuer/,
  )
  match(of(`client_id: gateway, secret: github, ${said}, ${people}, audience: notes`).join(), /no place to ask, or two/)
  deepEqual(of(`${client}, ${said.replace('secret: github', 'secret: crm')}, ${people}, audience: notes`), [
    'servers.github.credential.token_exchange.assertion.secret: this secret is not meant for github',
  ])
})

test('people grant a registered client or one of a document, and more scopes are named one by one', async () => {
  const granted = (more: string) => `trust_domain: acme.example
issuers: { corp: { issuer: "https://login.example", consent: { client_id: own, client_secret_file: own.secret } } }
listeners: { edge: "127.0.0.1:9444" }
edge:
  public_url: https://edge.example
  certificate: { file: edge.pem, key_file: edge.key }
  issuers: [corp]
  servers: [notes]
  clients: { claude: [claude-client] }
secrets: { client: { servers: [notes] } }
servers:
  notes: { url: "https://notes.example/mcp", credential: { user_oauth: { authorization_server: "https://as.example", ${more} } } }
`
  deepEqual(problems(granted('client_id: acme, client_secret: client, step_up: [notes.write]')), [])
  deepEqual(problems(granted('client_document: true')), [])
  match(problems(granted('scopes: [a]')).join(), /no client, or two/)
  match(problems(granted('client_id: acme, client_document: true')).join(), /no client, or two/)
  match(problems(granted('client_document: true, client_secret: client')).join(), /has no secret/)
  match(problems(granted('client_id: acme, step_up: ["a b"]')).join(), /not a scope/)
  const { notes } = parseConfiguration(granted('client_document: true, step_up: [more]'), 'doorward.yaml').servers
  const settings = 'url' in notes! ? await credentialSettings(notes.credential!, '/') : null
  deepEqual(settings?.kind === 'user' && [settings.clientId, settings.stepUp], [null, ['more']])
})

test('headers that others set are not for credentials', () => {
  for (const header of ['Host', 'content-type', 'Cookie', 'mcp-session-id', 'X-Forwarded-For', 'Proxy-Authorization'])
    match(changed('header: X-Api-Key', `header: ${header}`).join(), /not for credentials/, header)
  const passed = 'credential: { secret: crm, header: X-Key }, request_headers: [x-key]'
  match(changed('credential: { secret: crm, scheme: Basic }', passed).join(), /callers set this header/)
})

test('a variable that is a secret is not passed on as well', () => {
  match(
    changed('command: [program],', 'command: [program], env_from: [CRM_TOKEN],').join(),
    /this variable is a secret/,
  )
})

test('a value in the wrong place is not shown', () => {
  for (const [from, to] of [
    ['credential: { secret: github }', 'credential: canary-value'],
    ['credential: { secret: github }', 'credential: { secret: CANARY-VALUE }'],
    ['github: { servers: [github], roles: [researcher] }', 'github: canary-value'],
    ['TOKEN: { secret: old }', 'TOKEN: { secret: CANARY-VALUE }'],
    ['TOKEN: { secret: old }', 'TOKEN: [canary-value]'],
    ['url: "https://github.example/mcp"', 'command: 5, token: x, url: [canary-value]'],
  ] as const) {
    try {
      parseConfiguration(sound.replace(from, to), 'doorward.yaml')
      ok(false, to)
    } catch (error) {
      const { problems: found } = error as ConfigurationError
      ok(found.length > 0)
      if (!to.includes('url:')) ok(!/canary/i.test(JSON.stringify(found)), JSON.stringify(found))
    }
  }
})

test('secrets and credentials are taken up while the gateway runs', () => {
  const of = (text: string) =>
    deploymentOf({ file: 'x', folder: '/', configuration: parseConfiguration(text, 'doorward.yaml') })
  const now = sound
    .replace('roles: [researcher]', 'roles: [other]')
    .replace('{ secret: github }', '{ secret: github, scheme: token }')
  const taken = configurationChanges(of(sound), of(now))
  deepEqual(new Set(taken.map((key) => key.split('.')[0])), new Set(['secrets', 'servers']))
})
