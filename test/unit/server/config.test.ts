import assert from 'node:assert/strict'
import { mkdtemp, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadConfiguration, parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { addressKey, readNetwork } from '../../../packages/server/src/config/network.ts'
import { ConfigurationError, problemLine } from '../../../packages/server/src/config/problem.ts'
import { readRate } from '../../../packages/server/src/config/rate.ts'
import {
  connectionLimits,
  gateSettings,
  deploymentOf,
  securityHeaders,
} from '../../../packages/server/src/config/settings.ts'
import { openDeploymentFolder } from '../../../packages/server/src/config/deployment-folder.ts'

/** ADR-0011's block, as it is printed there. */
const adr0011 = `
security:
  # mTLS Configuration
  tls:
    enabled: true
    min_version: "1.3"
    cipher_suites:
      - TLS_AES_256_GCM_SHA384
      - TLS_CHACHA20_POLY1305_SHA256
    client_auth: required

  # Authentication
  auth:
    require_auth: true
    methods: [bearer, oauth2, mtls]
    token_validation:
      verify_exp: true
      verify_aud: true
      verify_iss: true

  # Authorization
  rbac:
    enabled: true
    default_policy: deny
    policies:
      - role: admin
        permissions: ["*"]
      - role: user
        permissions: ["read", "write"]
      - role: readonly
        permissions: ["read"]

  # Security Headers
  headers:
    X-Content-Type-Options: nosniff
    X-Frame-Options: DENY
    X-XSS-Protection: 1; mode=block
    Strict-Transport-Security: max-age=31536000

  # Rate Limiting
  rate_limiting:
    enabled: true
    global: 10000/min
    per_ip: 100/min
    per_user: 1000/min
`

function problems(text: string) {
  try {
    parseConfiguration(text, 'doorward.yaml')
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems
    throw error
  }
  return []
}

function paths(text: string): readonly string[] {
  return problems(text).map((problem) => problem.path)
}

describe('the security block of ADR-0011', () => {
  test('is accepted as it is printed, and is the default', () => {
    const printed = parseConfiguration(`trust_domain: acme.example\n${adr0011}`, 'doorward.yaml')
    const implied = parseConfiguration('trust_domain: acme.example\n', 'doorward.yaml')
    assert.deepEqual({ ...printed.security, headers: null }, { ...implied.security, headers: null })
    assert.deepEqual(securityHeaders(printed), securityHeaders(implied))
    assert.deepEqual(printed.security.rate_limiting.per_ip, { count: 100, periodSeconds: 60 })
  })

  const loosened: readonly (readonly [string, string, string])[] = [
    ['enabled: true\n    min_version', 'enabled: false\n    min_version', 'security.tls.enabled'],
    ['min_version: "1.3"', 'min_version: "1.2"', 'security.tls.min_version'],
    ['- TLS_AES_256_GCM_SHA384', '- TLS_AES_128_CCM_8_SHA256', 'security.tls.cipher_suites[0]'],
    ['client_auth: required', 'client_auth: optional', 'security.tls.client_auth'],
    ['require_auth: true', 'require_auth: false', 'security.auth.require_auth'],
    ['methods: [bearer, oauth2, mtls]', 'methods: []', 'security.auth.methods'],
    ['methods: [bearer, oauth2, mtls]', 'methods: [mtls]', 'security.auth.methods'],
    ['methods: [bearer, oauth2, mtls]', 'methods: [bearer]', 'security.auth.methods'],
    ['methods: [bearer, oauth2, mtls]', 'methods: [oauth2, mtls]', 'security.auth.methods'],
    ['methods: [bearer, oauth2, mtls]', 'methods: [basic, bearer, mtls]', 'security.auth.methods[0]'],
    ['verify_exp: true', 'verify_exp: false', 'security.auth.token_validation.verify_exp'],
    ['verify_aud: true', 'verify_aud: false', 'security.auth.token_validation.verify_aud'],
    ['verify_iss: true', 'verify_iss: false', 'security.auth.token_validation.verify_iss'],
    ['enabled: true\n    default_policy', 'enabled: false\n    default_policy', 'security.rbac.enabled'],
    ['default_policy: deny', 'default_policy: allow', 'security.rbac.default_policy'],
    ['permissions: ["read"]', 'permissions: ["raed"]', 'security.rbac.policies[2].permissions[0]'],
    ['nosniff', 'sniff', 'security.headers.X-Content-Type-Options'],
    ['X-Frame-Options: DENY', 'X-Frame-Options: SAMEORIGIN', 'security.headers.X-Frame-Options'],
    ['max-age=31536000', 'max-age=60', 'security.headers.Strict-Transport-Security'],
    ['enabled: true\n    global', 'enabled: false\n    global', 'security.rate_limiting.enabled'],
    ['global: 10000/min', 'global: unlimited', 'security.rate_limiting.global'],
    ['per_ip: 100/min', 'per_ip: 0/min', 'security.rate_limiting.per_ip'],
    ['per_user: 1000/min', 'per_user: -1/min', 'security.rate_limiting.per_user'],
  ]
  for (const [from, to, path] of loosened) {
    test(`${path} is refused as '${to.split('\n')[0]}', with its line`, () => {
      assert.ok(adr0011.includes(from))
      const text = `trust_domain: acme.example\n${adr0011.replace(from, to)}`
      const [problem, ...rest] = problems(text)
      assert.equal(rest.length, 0)
      assert.ok(problem)
      assert.equal(problem.path, path)
      const key = path.split('.').at(-1)?.replace(/\[.*/, '') ?? ''
      assert.match(
        text
          .split('\n')
          .slice((problem.line ?? 1) - 1, (problem.line ?? 1) + 1)
          .join('\n'),
        new RegExp(`${key}|- `),
      )
      assert.match(problemLine('doorward.yaml', problem), /expected|not a header/)
    })
  }
})

describe('doorward.yaml', () => {
  test('unknown keys are refused at every depth, all mistakes at once, in the order of the file', () => {
    const text =
      'trust_domain: Acme\ncolour: red\nsecurity: { tls: { version: 3 } }\nservers: { a: { command: [x], efects: {} } }\nlimits: { body_bytes: huge }\n'
    assert.deepEqual(paths(text), [
      'trust_domain',
      'colour',
      'security.tls.version',
      'servers.a.efects',
      'limits.body_bytes',
    ])
    assert.deepEqual(
      problems(text).map((problem) => problem.line),
      [1, 2, 3, 4, 5],
    )
  })

  test('a mistake in one section does not hide those between sound sections', () => {
    const text =
      'trust_domain: acme.example\nlimits: { body_bytes: huge }\nbindings: [{ role: nobody, workloads: ["spiffe://acme.example/a"] }]\n'
    assert.deepEqual(paths(text), ['limits.body_bytes', 'bindings[0].role'])
  })

  test('malformed YAML, repeated keys and aliases are refused with their line', () => {
    assert.equal(problems('trust_domain: a\ntrust_domain: b\n')[0]?.line, 2)
    assert.ok(problems('trust_domain: [\n').length > 0)
    assert.throws(() => parseConfiguration('a: &x [1]\nb: [*x, *x]\n', 'f'))
  })

  test('a server has exactly one of command and url, and plain HTTP only to this machine by name', () => {
    const server = (text: string) => paths(`trust_domain: acme.example\nservers: { s: ${text} }\n`)
    assert.deepEqual(server('{}'), ['servers.s'])
    assert.deepEqual(server('{ command: [x], url: "https://x.example" }'), ['servers.s'])
    assert.deepEqual(server('{ url: "http://x.example/mcp" }'), ['servers.s.url'])
    assert.deepEqual(server('{ url: "http://x.example/mcp", insecure_upstream: true }'), ['servers.s.url'])
    assert.deepEqual(server('{ url: "http://127.0.0.1:9/mcp" }'), ['servers.s.url'])
    assert.deepEqual(server('{ url: "http://127.0.0.1:9/mcp", insecure_upstream: true }'), [])
    assert.deepEqual(server('{ url: "https://u:p@x.example/mcp" }'), ['servers.s.url'])
    assert.deepEqual(paths('trust_domain: a.example\nservers: { authority: { command: [x] } }\n'), [
      'servers.authority',
    ])
  })

  test('a role that repeats an rbac policy, a stranger binding and an unknown server are refused', () => {
    const text =
      'trust_domain: acme.example\nroles: { admin: [read], r: ["read:nope/*"] }\nbindings: [{ role: r, workloads: ["spiffe://other.example/x"] }]\n'
    assert.deepEqual(paths(text), ['roles.admin', 'roles.r[0]', 'bindings[0].workloads[0]'])
  })

  test('two listeners on one address are refused', () => {
    assert.deepEqual(paths('trust_domain: a.example\nlisteners: { admin: "127.0.0.1:8443" }\n'), ['listeners.admin'])
  })

  test('a missing file says how to make one', async () => {
    await assert.rejects(loadConfiguration('/nonexistent/doorward.yaml'), { code: 'configuration_missing' })
  })
})

describe('what a configuration means', () => {
  const deployment = (text: string) =>
    deploymentOf({ file: '/x/doorward.yaml', folder: '/x', configuration: parseConfiguration(text, 'doorward.yaml') })

  test('audiences derive from public_url, never from anything a caller sends', () => {
    const own = deployment('trust_domain: acme.example\npublic_url: https://mcp.acme.example\nlisten: 0.0.0.0:443\n')
    assert.equal(own.gateway.publicUrl, 'https://mcp.acme.example')
    assert.equal(own.gateway.listeners.main.port, 443)
  })

  test('the rate of an address is that of the narrowest named network', () => {
    const limits = connectionLimits(
      deployment(
        'trust_domain: a.example\nlimits: { networks: [{ cidr: 10.0.0.0/8, per_ip: 5/s }, { cidr: 10.1.0.0/16, per_ip: 7/s }] }\n',
      ).configuration,
    )
    assert.equal(limits.perIp('10.1.2.3').count, 7)
    assert.equal(limits.perIp('10.2.2.3').count, 5)
    assert.equal(limits.perIp('192.0.2.1').count, 100)
    assert.equal(limits.perIp('not an address').count, 100)
  })

  test('connections and handshakes of an address are those of the narrowest named network, where that has its own', () => {
    const text = `trust_domain: a.example
limits:
  connections_per_ip: 100
  networks:
    - { cidr: 10.0.0.0/8, per_ip: 5/s, connections_per_ip: 5000, handshakes_per_ip: 6000/min }
    - { cidr: 10.1.0.0/16, per_ip: 5/s }
`
    const { connectionsPerAddress, handshakes, ofAddress } = gateSettings(deployment(text).configuration)
    assert.deepEqual([connectionsPerAddress, handshakes], [100, { count: 1200, periodSeconds: 60, burst: 50 }])
    const wide = { connectionsPerAddress: 5000, handshakes: { count: 6000, periodSeconds: 60, burst: 100 } }
    assert.deepEqual(ofAddress('10.2.3.4'), wide)
    assert.deepEqual(ofAddress('10.1.2.3'), {})
    assert.deepEqual(ofAddress('192.0.2.1'), {})
    const many =
      'trust_domain: a.example\nlimits: { networks: [{ cidr: 10.0.0.0/8, per_ip: 1/s, connections_per_ip: 0 }] }\n'
    assert.throws(() => deployment(many))
  })

  test('one IPv6 host is one key, however it writes its address', () => {
    assert.equal(addressKey('192.0.2.1'), '192.0.2.1')
    assert.equal(addressKey('2001:db8:0:1::1'), addressKey('2001:0DB8:0:1:ffff::2'))
    assert.notEqual(addressKey('2001:db8:0:1::1'), addressKey('2001:db8:0:2::1'))
  })

  test('rates and networks are read strictly', () => {
    assert.deepEqual(readRate('10/s'), { count: 10, periodSeconds: 1 })
    for (const bad of ['', '10', '0/min', '10/day', '1e3/min', '10/min/min', ' 10/min'])
      assert.equal(readRate(bad), null, bad)
    for (const bad of ['', '10.0.0.0', '10.0.0.0/33', '::/129', 'x/8', '10.0.0.0/8/8'])
      assert.equal(readNetwork(bad), null, bad)
  })
})

describe('the state folder', () => {
  async function withFolder(run: (dir: string) => Promise<void>): Promise<void> {
    const dir = await mkdtemp(join(tmpdir(), 'doorward-state-'))
    try {
      await run(dir)
    } finally {
      await rm(dir, { recursive: true })
    }
  }
  const options = (dir: string) => ({
    dir: join(dir, 'state'),
    trustDomain: 'a.example',
    keyDir: null,
    keyHome: join(dir, 'keys'),
  })

  test('is made once, closed to others, and found again with the same keys', () =>
    withFolder(async (dir) => {
      const first = await openDeploymentFolder(options(dir))
      const second = await openDeploymentFolder(options(dir))
      assert.equal(first.created, true)
      assert.equal(second.created, false)
      assert.equal(first.keyDir, second.keyDir)
      assert.equal((await stat(first.dir)).mode & 0o777, 0o700)
      assert.equal((await stat(join(first.dir, 'state.json'))).mode & 0o777, 0o600)
    }))

  test('keys inside the folder that they encrypt are refused, through links too', () =>
    withFolder(async (dir) => {
      const { symlink } = await import('node:fs/promises')
      await assert.rejects(openDeploymentFolder({ ...options(dir), keyDir: join(dir, 'state', 'keys') }), {
        code: 'key_inside_state',
      })
      await mkdir(join(dir, 'state'))
      await symlink(join(dir, 'state'), join(dir, 'elsewhere'))
      await assert.rejects(openDeploymentFolder({ ...options(dir), keyDir: join(dir, 'elsewhere', 'keys') }), {
        code: 'key_inside_state',
      })
    }))

  test('a foreign, damaged or open folder is refused and left as it is', () =>
    withFolder(async (dir) => {
      const state = join(dir, 'state')
      await mkdir(state, { mode: 0o700 })
      await writeFile(join(state, 'thesis.txt'), 'mine')
      await assert.rejects(openDeploymentFolder(options(dir)), { code: 'state_foreign' })
      assert.equal(await readFile(join(state, 'thesis.txt'), 'utf8'), 'mine')
      await writeFile(join(state, 'state.json'), '{"version": 1, "state_')
      await assert.rejects(openDeploymentFolder(options(dir)), { code: 'state_half_written' })
      await writeFile(
        join(state, 'state.json'),
        JSON.stringify({ version: 1, state_id: '0'.repeat(32), trust_domain: 'b.example' }),
      )
      await assert.rejects(openDeploymentFolder(options(dir)), { code: 'state_foreign' })
      const { chmod } = await import('node:fs/promises')
      await chmod(state, 0o755)
      await assert.rejects(openDeploymentFolder(options(dir)), { code: 'state_mode' })
    }))
})
