/** Signing in at a provider: what is asked, and what a browser, a page elsewhere or the provider itself can do wrong. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isDoorwardError, jwkThumbprint, loginNonce, parseSpiffeIdPattern } from '@doorward/core'
import { p256KeyPairOf, sha256 } from '@doorward/sdk'
import { signInWithBrowser, signInWithDevice } from '../../../packages/server/src/apps/sign-in.ts'
import type { DeviceSignIn } from '../../../packages/server/src/apps/sign-in.ts'
import { documentServer } from '../../fixtures/platform-issuer.ts'
import type { DocumentServer } from '../../fixtures/platform-issuer.ts'

let server: DocumentServer
let folder: string
/** Forms that the provider was sent, by path. */
let forms: [path: string, form: URLSearchParams, authorization: string | undefined][]

before(async () => {
  server = await documentServer()
  folder = await mkdtemp(join(tmpdir(), 'doorward-sign-in-'))
  await writeFile(join(folder, 'ca.pem'), server.ca)
})
after(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const signal = () => AbortSignal.timeout(20_000)
const redeemed = { id_token: 'a.b.c', access_token: 'not wanted' }

/** A provider that is right in every way but what the test changes. */
function provide(metadata: object = {}, token: readonly [number, object] = [200, redeemed]): void {
  forms = []
  const places = ['authorization', 'token', 'device_authorization'].map((name) => [
    `${name}_endpoint`,
    `${server.url}/${name}`,
  ])
  const document = { issuer: server.url, ...Object.fromEntries(places), ...metadata }
  server.documents.set('/.well-known/openid-configuration', JSON.stringify(document))
  answering('/token', () => token)
  const device = {
    device_code: 'd',
    user_code: 'WDJB',
    verification_uri: `${server.url}/device`,
    expires_in: 60,
    interval: 0.05,
  }
  answering('/device_authorization', () => [200, device])
}

function answering(path: string, answer: () => readonly [number, object]): void {
  server.documents.set(path, (response, asked) => {
    let body = ''
    asked.on('data', (part) => (body += String(part)))
    asked.on('end', () => {
      forms.push([path, new URLSearchParams(body), asked.headers.authorization])
      const [status, told] = answer()
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(told))
    })
  })
}

const settings = (device = false): DeviceSignIn['settings'] => ({
  name: 'corp',
  issuer: server.url,
  audience: null,
  otherAudiences: [],
  algorithms: ['ES256'],
  types: ['at+jwt'],
  claims: { user: 'sub', groups: null, groupPrefix: null, require: {} },
  maxLifetimeSeconds: 3600,
  access: { caFile: join(folder, 'ca.pem'), allowPrivateAddresses: true },
  keys: { kind: 'fetched', jwksUrl: null },
  introspection: null,
  consent: null,
  login: {
    clientId: 'doorward-cli',
    clientSecretFile: null,
    scopes: ['openid', 'groups'],
    workloads: [parseSpiffeIdPattern('spiffe://test.example/**')],
    lifetimeSeconds: 3600,
    maxAgeSeconds: 300,
    device,
  },
})

/** Comes back as a browser would; the status that it is told. */
function comeBack(url: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    asked.once('error', reject)
    asked.end()
  })
}

type Answer = Readonly<Record<string, string>>
const backTo = (url: URL, answer: Answer) =>
  `${url.searchParams.get('redirect_uri')}?${new URLSearchParams({ state: url.searchParams.get('state') ?? '', ...answer }).toString()}`

async function signIn(answer: Answer | ((url: URL) => Promise<void>) = { code: 'c' }) {
  let asked = new URL('https://nowhere.example')
  const show = async (url: URL) => {
    asked = url
    if (typeof answer === 'function') await answer(url)
    else await comeBack(backTo(url, answer))
  }
  return { ...(await signInWithBrowser({ settings: settings(), signal: signal(), show })), asked }
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'good',
    (error: unknown) => (isDoorwardError(error) ? `${error.code} ${error.got ?? ''}`.trim() : String(error)),
  )

test('the provider is asked for a code with PKCE, for a nonce of our key, and once for the ID token', async () => {
  provide()
  const { idToken, random, key, asked } = await signIn({ code: 'c', iss: server.url })
  const given = Object.fromEntries(asked.searchParams)
  assert.equal(asked.origin + asked.pathname, `${server.url}/authorization`)
  assert.deepEqual(
    [given['response_type'], given['client_id'], given['scope'], given['code_challenge_method'], given['max_age']],
    ['code', 'doorward-cli', 'openid groups', 'S256', '300'],
  )
  assert.match(given['redirect_uri'] ?? '', /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  assert.equal(given['nonce'], loginNonce(jwkThumbprint(p256KeyPairOf(key).jwk, sha256), random, sha256))
  assert.equal(idToken.reveal(), 'a.b.c')
  assert.equal(forms.length, 1)
  const [[, form, authorization]] = forms as [(typeof forms)[number]]
  const verifier = form.get('code_verifier') ?? ''
  assert.equal(createHash('sha256').update(verifier).digest('base64url'), given['code_challenge'])
  assert.deepEqual(
    [form.get('grant_type'), form.get('code'), form.get('client_id')],
    ['authorization_code', 'c', 'doorward-cli'],
  )
  assert.deepEqual([form.get('redirect_uri'), authorization], [given['redirect_uri'], undefined])
  const again = await signIn()
  for (const name of ['state', 'nonce', 'code_challenge'])
    assert.notEqual(again.asked.searchParams.get(name), asked.searchParams.get(name), name)
})

test('what is not the redirect of our own request is told nothing, and the sign-in goes on', async () => {
  provide()
  const tampered = async (url: URL) => {
    const right = backTo(url, { code: 'c' })
    const back = new URL(right)
    const with_ = (change: (copy: URL) => void) => {
      const copy = new URL(right)
      change(copy)
      return copy.href
    }
    const wrong: readonly [string, Answer?, string?][] = [
      [with_((copy) => copy.searchParams.set('state', 'other'))],
      [with_((copy) => copy.searchParams.delete('state'))],
      [with_((copy) => copy.searchParams.append('code', 'second'))],
      [with_((copy) => copy.searchParams.append('state', back.searchParams.get('state') ?? ''))],
      [with_((copy) => (copy.pathname = '/'))],
      [with_((copy) => (copy.pathname = '/callback/'))],
      [right, { Host: 'evil.example' }],
      [right, { Host: `localhost:${back.port}` }],
      [right, {}, 'POST'],
    ]
    for (const [href, headers, method] of wrong) assert.equal(await comeBack(href, headers, method), 404, href)
    assert.equal(forms.length, 0)
    assert.equal(await comeBack(right), 200)
    assert.notEqual(await comeBack(right).catch(() => 0), 200)
  }
  assert.equal((await signIn(tampered)).idToken.reveal(), 'a.b.c')
  assert.equal(forms.length, 1)
})

test('an answer of another issuer, a refusal and one without a code sign nobody in', async () => {
  provide()
  assert.match(await codeOf(signIn({ code: 'c', iss: 'https://evil.example' })), /^sign_in_invalid https:\/\/evil/)
  assert.equal(await codeOf(signIn({ error: 'access_denied' })), 'sign_in_refused access_denied')
  assert.equal(await codeOf(signIn({})), 'sign_in_invalid')
  provide({ authorization_response_iss_parameter_supported: true })
  assert.equal(await codeOf(signIn({ code: 'c' })), 'sign_in_invalid none')
  assert.equal(forms.length, 0)
})

test('a code that counts no more, and an answer without an ID token, are the word of the provider', async () => {
  provide({}, [400, { error: 'invalid_grant', error_description: 'the secret 1234 was replayed' }])
  assert.equal(await codeOf(signIn()), 'sign_in_refused invalid_grant')
  provide({}, [400, { error: 'Something <b>else</b>' }])
  assert.equal(await codeOf(signIn()), 'sign_in_refused HTTP status 400')
  provide({}, [200, { access_token: 'x' }])
  assert.equal(await codeOf(signIn()), 'sign_in_invalid')
  provide({}, [500, {}])
  assert.equal(await codeOf(signIn()), 'sign_in_refused HTTP status 500')
})

test('a provider that says to be another, or leads to where nothing is fetched from, is not gone to', async () => {
  const wrong: readonly [RegExp, object][] = [
    [/^issuer_document_invalid/, { issuer: 'https://other.example' }],
    [/^issuer_document_invalid/, { token_endpoint: undefined }],
    [/^issuer_document_invalid/, { token_endpoint: 'http://127.0.0.1/token' }],
    [/^issuer_document_invalid/, { authorization_endpoint: 'javascript:alert(1)' }],
    [/^issuer_document_invalid/, { authorization_endpoint: 'file:///etc/passwd' }],
    [/^document_refused/, { token_endpoint: 'https://169.254.169.254/latest/meta-data' }],
  ]
  for (const [code, metadata] of wrong) {
    provide(metadata)
    assert.match(await codeOf(signIn()), code, JSON.stringify(metadata))
    assert.equal(forms.length, 0)
  }
  server.documents.clear()
  assert.match(await codeOf(signIn()), /^document_unavailable/)
})

test('who interrupts, or lets a device wait until its code has ended, is not signed in', async () => {
  provide()
  const stop = new AbortController()
  const show = async () => stop.abort()
  assert.equal(
    await codeOf(signInWithBrowser({ settings: settings(), signal: stop.signal, show })),
    'sign_in_interrupted',
  )
})

test('a device waits, slows down when it is told to, and has the ID token in the end', async () => {
  provide()
  const answers: (readonly [number, object])[] = [
    [400, { error: 'authorization_pending' }],
    [200, redeemed],
  ]
  answering('/token', () => answers.shift() ?? [400, { error: 'expired_token' }])
  const shown: string[] = []
  const options = {
    settings: settings(true),
    signal: signal(),
    show: ({ userCode }: { readonly userCode: string }) => void shown.push(userCode),
  }
  assert.equal((await signInWithDevice(options)).idToken.reveal(), 'a.b.c')
  assert.deepEqual(shown, ['WDJB'])
  assert.deepEqual(
    forms.map(([path, form]) => [path, form.get('device_code'), form.has('nonce')]),
    [
      ['/device_authorization', null, true],
      ['/token', 'd', false],
      ['/token', 'd', false],
    ],
  )
  assert.equal(await codeOf(signInWithDevice(options)), 'sign_in_refused expired_token')
  assert.equal(await codeOf(signInWithDevice({ ...options, settings: settings() })), 'device_unsupported')
  provide({ device_authorization_endpoint: undefined })
  assert.equal(await codeOf(signInWithDevice(options)), 'device_unsupported')
})
