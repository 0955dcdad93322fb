/**
 * The certificate of a listener, edge or front, from a certificate authority: ordered when there is none, replaced when a third of its life is
 * left, and the one before is shown for as long as that fails. Account key and certificate key are sealed in the state folder.
 */

import { createHash, X509Certificate } from 'node:crypto'
import { DoorwardError, epochMillis } from '@doorward/core'
import type { Clock, EpochMillis, JsonObject } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import type { Runtime, Sealer } from '@doorward/sdk'
import { AcmeConnection } from '../acme/acme-connection.ts'
import { orderCertificate } from '../acme/acme-order.ts'
import { AcmeRefusal } from '../acme/acme-problem.ts'
import { dueAt, longestRetrySeconds, retryMilliseconds } from '../acme/renewal-time.ts'
import { judgeEdgeCertificate } from '../config/edge-certificate.ts'
import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { AcmePlace } from '../config/edge-settings.ts'
import { version } from '../config/version.ts'
import type { KeyCustody } from '../secrets/key-custody.ts'
import { asP256, generatePrivateKey, signingKeyOf } from '../secrets/signing-key.ts'
import type { P256SigningKey } from '../secrets/signing-key.ts'
import { exchangeDocument } from '../transports/fetch-document.ts'
import type { DocumentRequest, FetchOptions } from '../transports/fetch-document.ts'
import { AcmeProofs } from './acme-proofs.ts'
import { AcmeStore } from './acme-store.ts'
import type { AcmeListener } from './acme-store.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { fetchOptions } from './issuers.ts'

export interface AcmeTools {
  /** Which it is for: what is sealed for one opens for no other, and the record says which it was. */
  readonly listener: AcmeListener
  readonly stateDir: string
  readonly sealer: Sealer
  readonly keys: Pick<KeyCustody, 'open' | 'create'>
  /** By which certificates are good or not. */
  readonly now: Clock
  readonly runtime: Pick<Runtime, 'monotonic' | 'chance' | 'sleep'>
  /** Puts on record what was got, and what was not. */
  readonly enter: (body: JsonObject) => Promise<unknown>
  readonly onProblem: (error: unknown) => void
}

/** Authorities take their time over a request. */
const ANSWER_MILLISECONDS = 20_000
/** The time is looked at again so often, should it be set. */
const LOOK_MILLISECONDS = 60_000
/** Of what is kept: no clock that was wrong stops it for longer. */
const LONGEST_WAIT = longestRetrySeconds * 1000

/** Throws the codes of the sealed files and of custody, `file_unreadable` and `certificates_invalid`. */
export async function openAcmeCertificates(
  place: AcmePlace,
  publicUrl: string,
  tools: AcmeTools,
): Promise<EdgeCertificates> {
  const access = { ...(await fetchOptions(place.access)), milliseconds: ANSWER_MILLISECONDS }
  const key = await accountKey(place.directory, tools.keys)
  const certificates = new AcmeCertificates({ ...tools, place, publicUrl, access, key })
  await certificates.restore()
  return certificates
}

/** One account per authority; its key is never that of a certificate. */
async function accountKey(directory: string, keys: AcmeTools['keys']): Promise<P256SigningKey> {
  const name = `acme-account-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`
  return asP256((await keys.open(name, 'p256')) ?? (await keys.create(name, 'p256')))
}

interface AcmeParts extends AcmeTools {
  readonly place: AcmePlace
  readonly publicUrl: string
  readonly access: FetchOptions
  readonly key: P256SigningKey
}

class AcmeCertificates implements EdgeCertificates {
  readonly proofs: AcmeProofs
  readonly #parts: AcmeParts
  readonly #store: AcmeStore
  readonly #name: string
  #shown: EdgeCertificate | null = null
  /** One that another authority has issued is shown until there is one of this. */
  #foreign = false
  /** Kept, and not shown: it could not be put on record. */
  #unshown: EdgeCertificate | null = null
  #chance: number
  #failures = 0
  #notBefore: EpochMillis = epochMillis(0)
  #problem: string | null = null

  constructor(parts: AcmeParts) {
    const { now, publicUrl, runtime } = parts
    this.#parts = parts
    this.#store = new AcmeStore(parts)
    this.proofs = new AcmeProofs(now)
    this.#name = new URL(publicUrl).hostname
    this.#chance = runtime.chance()
  }

  current(): EdgeCertificate | null {
    return this.#shown
  }

  problem(): string | null {
    return this.#problem
  }

  /** What was kept, as far as hosts would accept it now. */
  async restore(): Promise<void> {
    const { now, place } = this.#parts
    const { failures, notBefore } = await this.#store.attempts()
    this.#failures = failures
    this.#notBefore = epochMillis(Math.min(notBefore, now() + LONGEST_WAIT))
    const kept = await this.#store.certificate()
    if (kept === null) return
    try {
      const judged = this.#judge(kept.chain, kept.privateKey)
      const foreign = kept.directory !== place.directory
      if (!kept.entered) return this.#restoreUnshown(foreign ? null : judged)
      this.#shown = judged
      this.#foreign = foreign
    } catch (error) {
      if (!(error instanceof DoorwardError)) throw error
      this.#problem = error.code
    }
  }

  /** The first attempt puts it on record, at once: for that nobody is asked. */
  #restoreUnshown(got: EdgeCertificate | null): void {
    this.#unshown = got
    if (this.#waiting() !== null) this.#notBefore = epochMillis(0)
  }

  prepare(): Promise<() => void> {
    return Promise.resolve(() => undefined)
  }

  async run(signal: AbortSignal, onChange: (certificate: EdgeCertificate) => void): Promise<void> {
    const { sleep } = this.#parts.runtime
    while (!signal.aborted) {
      const wait = this.#waitMilliseconds()
      if (wait > 0) await sleep(Math.min(wait, LOOK_MILLISECONDS), signal)
      else await this.#attempt(signal, onChange)
    }
  }

  #waitMilliseconds(): number {
    const due = this.#shown === null || this.#foreign ? 0 : dueAt(this.#shown, this.#chance)
    return Math.max(due, this.#notBefore) - this.#parts.now()
  }

  /** Counted before it is made, so that a process that dies of it does not ask without end. */
  async #attempt(signal: AbortSignal, onChange: (certificate: EdgeCertificate) => void): Promise<void> {
    const { enter, listener, place, onProblem } = this.#parts
    try {
      await this.#count(this.#failures + 1, null)
      const got = this.#waiting() ?? (await this.#order(signal))
      this.#unshown = got
      await enter({ event: `${listener}.certificate`, directory: place.directory, ...factsOf(got) })
      await this.#store.keepEntered()
      onChange(got)
      this.#shown = got
      this.#unshown = null
      this.#foreign = false
      this.#problem = null
      this.#chance = this.#parts.runtime.chance()
    } catch (error) {
      if (signal.aborted) return
      this.#problem = error instanceof DoorwardError ? `${error.code} ${error.got ?? ''}`.trim() : 'internal'
      onProblem(error)
      await this.#failed(error).catch(onProblem)
      return
    }
    // Last: until it is shown the attempt has failed, and the next one waits.
    await this.#count(0, null).catch(onProblem)
  }

  /** One that was got by an attempt before: authorities count the certificates of a name. */
  #waiting(): EdgeCertificate | null {
    const got = this.#unshown
    return got !== null && dueAt(got, this.#chance) > this.#parts.now() ? got : null
  }

  async #order(signal: AbortSignal): Promise<EdgeCertificate> {
    const { place, access, key, runtime } = this.#parts
    const { directory: directoryUrl, email } = place
    const privateKey = generatePrivateKey('p256')
    const connection = new AcmeConnection({
      exchange: (url, request) => exchangeDocument(url, named(request), { ...access, signal }),
      directoryUrl,
      key,
      email,
    })
    const chain = await orderCertificate({
      connection,
      name: this.#name,
      key: signingKeyOf('p256', privateKey),
      answer: (name, digest) => this.proofs.answer(name, digest),
      sha256,
      monotonic: runtime.monotonic,
      sleep: runtime.sleep,
      signal,
    })
    const got = this.#judge(chain, privateKey)
    // Durable before it is shown: what hosts have seen is still there after a crash.
    await this.#store.keepCertificate({ directory: directoryUrl, chain, privateKey, entered: false })
    return got
  }

  /** Hosts have to find the way from the leaf to a root that they know. Throws `edge_certificate`. */
  #judge(chain: readonly Uint8Array[], privateKey: EdgeCertificate['privateKey']): EdgeCertificate {
    const { publicUrl, now, place } = this.#parts
    const where = place.directory
    const judged = judgeEdgeCertificate({ chain, privateKey, where, keyWhere: where }, publicUrl, now())
    const certificates = chain.map((der) => new X509Certificate(der))
    const broken = certificates.findIndex((one, at) => {
      const issuer = certificates[at + 1]
      return issuer !== undefined && !(one.checkIssued(issuer) && one.verify(issuer.publicKey))
    })
    if (broken === -1) return judged
    throw new DoorwardError('edge_certificate', 'the certificate that hosts and browsers are shown cannot be used', {
      where,
      expected: 'a chain in which each certificate is issued by the next',
      got: `certificate ${broken + 1} is not`,
      next: 'see what the authority says about its chains; it is asked again by itself',
    })
  }

  async #failed(error: unknown): Promise<void> {
    const { enter, listener, place } = this.#parts
    const refusal = error instanceof AcmeRefusal ? error : null
    await this.#count(this.#failures, refusal?.retryAfterSeconds ?? null)
    const reason = error instanceof DoorwardError ? error.code : 'internal'
    const type = refusal === null ? {} : { type: refusal.type }
    const { directory } = place
    await enter({ event: `${listener}.certificate.failed`, directory, reason, ...type, failures: this.#failures })
  }

  async #count(failures: number, retryAfterSeconds: number | null): Promise<void> {
    const { now, runtime } = this.#parts
    const wait = failures === 0 ? 0 : retryMilliseconds(failures, runtime.chance(), retryAfterSeconds)
    this.#failures = failures
    this.#notBefore = epochMillis(now() + Math.min(wait, LONGEST_WAIT))
    await this.#store.keepAttempts({ failures, notBefore: this.#notBefore })
  }
}

/** Authorities turn away who does not say what program asks (RFC 8555 §6.1). */
function named(request: DocumentRequest): DocumentRequest {
  return { ...request, headers: { 'user-agent': `doorward/${version}`, ...request.headers } }
}

function factsOf({ fingerprint, notBefore, notAfter }: EdgeCertificate): JsonObject {
  return { fingerprint, not_before: notBefore, not_after: notAfter }
}
