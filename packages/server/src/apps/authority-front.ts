/** The front of an authority: a listener with a certificate that browsers accept, and what its rules go by. */

import { toSeconds } from '@doorward/core'
import type { TokenKey } from '@doorward/core'
import { openListener } from '@doorward/enforcement'
import type { Listener, ListenerOptions, Pipeline, TlsMaterial } from '@doorward/enforcement'
import { randomBytes, sha256, systemRuntime } from '@doorward/sdk'
import type { Authority } from '../authority/authority.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { raiseDetection } from '../authority/detection.ts'
import type { FrontContext } from '../authority/front/context.ts'
import { denyFrontTokens, reuseDetail } from '../authority/front/reuse.ts'
import type { KeySlots } from '../authority/key-slots.ts'
import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { FrontSettings } from '../config/front-settings.ts'
import { importIssuerKey } from '../issuers/issuer-key-set.ts'
import { MemoryReplayGuard } from '../state/memory-replay-guard.ts'
import { SealedNonces } from '../state/sealed-nonces.ts'
import { serveFront } from '../transports/front.ts'
import { frontPaths } from '../transports/front-metadata.ts'
import type { AuthorityOptions, AuthoritySettings, RunningAuthority } from './authority-settings.ts'
import { collectFront } from './authority-metrics.ts'
import type { AuthorityState } from './authority-state.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { openEdgeCertificates } from './edge-certificates.ts'
import { KnownFrontClients } from './front-clients.ts'
import { openFrontProvider } from './front-provider.ts'
import { fetchOptions } from './issuers.ts'
import { ownListenerOptions } from './own-listener.ts'
import type { OwnMetrics } from './own-metrics.ts'

interface FrontParts {
  readonly settings: FrontSettings
  readonly security: {
    readonly cipherSuites: readonly string[]
    readonly headers: Readonly<Record<string, string>>
    readonly limits: Partial<ListenerOptions['limits']>
  }
  readonly context: AuthorityContext
  readonly authority: Authority
  readonly slots: KeySlots
  readonly pipeline: Pipeline
  readonly metrics: Pick<OwnMetrics, 'handshakeRefused' | 'metrics'>
  readonly certificates: EdgeCertificates
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

interface RunningFront {
  readonly listener: Listener
  /** Takes up a certificate that replaces the one it shows. Runs until the signal aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>
}

interface FrontStarting extends Pick<FrontParts, 'context' | 'authority' | 'slots' | 'pipeline' | 'metrics'> {
  readonly settings: Pick<AuthoritySettings, 'front' | 'security'>
  readonly options: Pick<AuthorityOptions, 'report'>
  /** Null where there is no front. */
  readonly certificates: EdgeCertificates | null
  readonly stack: AsyncDisposableStack
}

interface CertificateParts extends Pick<FrontParts, 'context' | 'pipeline'> {
  readonly settings: Pick<AuthoritySettings, 'front' | 'stateDir'>
  readonly state: Pick<AuthorityState, 'sealer' | 'keys'>
  readonly options: Pick<AuthorityOptions, 'report' | 'runtime'>
}

const GRACE_MILLISECONDS = 2000

/** Null where there is no front. Throws as `openEdgeCertificates`. */
export async function frontCertificates({
  settings: { front, stateDir },
  state: { sealer, keys },
  options: { report, runtime = systemRuntime },
  context,
  pipeline,
}: CertificateParts): Promise<EdgeCertificates | null> {
  if (front === undefined) return null
  return openEdgeCertificates(front, {
    listener: 'front',
    stateDir,
    sealer,
    keys,
    now: () => pipeline.dependencies.trust.now(),
    runtime,
    enter: (body) => context.log.append({ kind: 'lifecycle', body }),
    onProblem: (error) => report({ type: 'problem', error }),
  })
}

/** Where it listens, if there is one. Throws as `openFront`. */
export async function startFront(
  { settings, options, certificates, stack, ...parts }: FrontStarting,
  loops: { start(run: (signal: AbortSignal) => Promise<void>): void },
): Promise<Pick<RunningAuthority, 'front'>> {
  if (settings.front === undefined || certificates === null) return {}
  const { cipherSuites, headers, listenerLimits: limits = {} } = settings.security
  const onProblem = (error: unknown) => options.report({ type: 'problem', error })
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const security = { cipherSuites, headers, limits }
  const own = { ...parts, settings: settings.front, security, certificates, warn, onProblem }
  const front = await openFront(own, stack, GRACE_MILLISECONDS)
  const ends = () => certificates.current()?.notAfter ?? null
  collectFront(own.metrics.metrics, ends, () => own.pipeline.dependencies.trust.now())
  loops.start((signal) => front.run(signal))
  return { front: front.listener.address }
}

/** Throws the codes of `openFrontProvider` and `openListener`. */
async function openFront(
  parts: FrontParts,
  stack: AsyncDisposableStack,
  graceMilliseconds: number,
): Promise<RunningFront> {
  const { settings, context, certificates, warn } = parts
  const shown = certificates.current()
  const listener = await openListener(
    await listenerOptions(parts, await frontContext(parts), shown === null ? null : materialOf(shown)),
  )
  stack.defer(() => listener.close(graceMilliseconds))
  await context.log.append({ kind: 'lifecycle', body: { event: 'front.open', ...frontFacts(settings) } })
  if (shown === null) warn('front_certificate', 'the front has no certificate yet: it refuses handshakes until it has')
  return {
    listener,
    run: (signal) => certificates.run(signal, (certificate) => listener.update(materialOf(certificate))),
  }
}

/** What the record says of it when it opens. */
function frontFacts({ publicUrl, provider, resources, clients, cimd, bearer }: FrontSettings) {
  return {
    public_url: publicUrl,
    issuer: provider.issuer.issuer,
    resources: resources.map(({ url }) => url),
    clients: clients.map(({ name }) => name),
    cimd: cimd !== null,
    bearer,
  }
}

/** Nobody is asked for a certificate, so no anchor is named. */
function materialOf({ chain, privateKey }: EdgeCertificate): TlsMaterial {
  return { chain, privateKey, anchors: [] }
}

async function frontContext(parts: FrontParts): Promise<FrontContext> {
  const { settings, context, authority, slots, onProblem } = parts
  const { publicUrl, provider, clients, cimd } = settings
  const redirectUri = `${publicUrl}${frontPaths.callback}`
  const denied = (id: string) =>
    authority.trustState().state.denied.identities.find((one) => one.id === id)?.issuedBefore ?? 0
  return {
    ...context,
    settings,
    clients: new KnownFrontClients({
      configured: clients.map(({ id, name, redirectUris }) => ({ id, name, redirectUris, from: 'configuration' })),
      documents: cimd === null ? null : await fetchOptions(cimd),
      monotonic: () => performance.now(),
      onRefused: (id, why) => onProblem(new Error(`the client ${id.slice(0, 200)} is not accepted: ${why}`)),
    }),
    provider: await openFrontProvider({ ...provider, redirectUri }, context.clock),
    slots,
    random: randomBytes,
    sha256,
    deniedBefore: denied,
    epoch: () => authority.trustState().state.epoch,
    denyTokens: (names, reason) => denyFrontTokens({ revocations: authority.revocations, onProblem }, names, reason),
    reused: ({ id }, detail, undenied) =>
      raiseDetection(context, {
        detector: 'front_reuse',
        subject: `front ${id}`,
        detail: reuseDetail(detail, undenied),
      }),
  }
}

async function listenerOptions(
  { settings, security, authority, pipeline, metrics, certificates, onProblem }: FrontParts,
  context: FrontContext,
  material: TlsMaterial | null,
): Promise<ListenerOptions> {
  const { publicUrl, address, origins, nonceRequired, algorithms, isProxy } = settings
  const now = () => pipeline.dependencies.trust.now()
  const proofs = {
    algorithms,
    importKey: importIssuerKey,
    sha256,
    guard: new MemoryReplayGuard({ now }),
    nonces: new SealedNonces(now),
    nonceRequired,
    since: toSeconds(now()),
  }
  const tokenKeys = (): readonly TokenKey[] => {
    const { tokenKeys: keys, denied } = authority.trustState().state
    return keys.filter(({ kid }) => !denied.authorities.includes(kid))
  }
  const options = {
    pipeline,
    context,
    proofs,
    cimd: settings.cimd !== null,
    tokenKeys,
    origins: new Set(origins),
    onProblem,
  }
  return {
    ...ownListenerOptions({
      name: 'front',
      address,
      publicUrl,
      material,
      ...security,
      ...(isProxy === undefined ? {} : { isProxy }),
      pipeline,
      onRefusedHandshake: metrics.handshakeRefused,
    }),
    clientCertificate: 'none',
    ...(certificates.proofs === null ? {} : { proofs: certificates.proofs }),
    origins: [...origins, publicUrl],
    onExchange: (exchange) => serveFront(exchange, options),
  }
}
