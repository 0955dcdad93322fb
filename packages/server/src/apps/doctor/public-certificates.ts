/** What edge and front show to browsers and other programs: for which name, until when, and whether its renewal is late. */

import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Address } from '../../config/settings.ts'
import { showAddress } from '../../config/settings.ts'
import { relativeTime } from '../relative-time.ts'
import { failure, fine, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface PublicPlace {
  readonly name: 'edge' | 'front'
  readonly address: Address
  readonly publicUrl: string
  /** Asked for here, of a certificate authority; else files that somebody else replaces. */
  readonly acme: boolean
}

const dialMilliseconds = 5000
const daySeconds = 86_400
const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
/** A certificate authority is asked for the next one when a third is left; what is left then is for three attempts that fail. */
const lateShare = 1 / 4

/** The handshake alone, by the name of the public URL. `now` in seconds since 1970. */
export async function publicCertificateFinding(place: PublicPlace, now: number): Promise<Finding> {
  const where = `${place.name} ${showAddress(place.address)}`
  const certificate = await shownAt(place)
  return { ...(typeof certificate === 'string' ? absent(place, certificate) : judged(place, certificate, now)), where }
}

function absent({ name }: PublicPlace, got: string): Finding {
  return failure(`${name}_listener`, {
    message: 'nothing answers here with a certificate',
    got,
    next: `see that the part runs, and in its log whether it has a certificate`,
  })
}

function judged(place: PublicPlace, certificate: X509Certificate, now: number): Finding {
  const { name, publicUrl, acme } = place
  const check = `${name}_certificate`
  const host = hostOf(publicUrl)
  const from = certificate.validFromDate.getTime() / 1000
  const until = certificate.validToDate.getTime() / 1000
  const source = acme ? 'see in the log why the certificate authority refuses' : `replace the files of its certificate`
  if (!isFor(certificate, host))
    return failure(check, {
      message: 'the certificate is for another name: clients refuse it',
      expected: host,
      got: certificate.subjectAltName ?? 'no names',
      next: acme ? 'see that public_url is the name that was asked for' : source,
    })
  if (now < from)
    return failure(check, {
      message: `the certificate begins ${relativeTime(from - now)}`,
      next: 'set the clock right',
    })
  if (now >= until)
    return failure(check, { message: `the certificate ended ${relativeTime(until - now)}`, next: source })
  const left = until - now
  // Files may be of any life: a week is enough for whoever replaces them, if their life is longer than that.
  const late = acme ? left < (until - from) * lateShare : left < Math.min(7 * daySeconds, (until - from) * lateShare)
  if (late)
    return warning(check, {
      message: `renewal is late: the certificate ends ${relativeTime(left)}`,
      expected: acme ? 'a new one when a third of its life is left' : 'new files in time',
      next: source,
    })
  return fine(check, `for ${host}, ends ${relativeTime(left)}`)
}

function hostOf(url: string): string {
  return new URL(url).hostname.replaceAll(/^\[|\]$/g, '')
}

/** RFC 6125; the name of the subject counts for nothing (RFC 9525 §2). */
function isFor(certificate: X509Certificate, host: string): boolean {
  const found = isIP(host) === 0 ? certificate.checkHost(host, { subject: 'never' }) : certificate.checkIP(host)
  return found !== undefined
}

/** The certificate, or why there is none. */
function shownAt({ address, publicUrl }: PublicPlace): Promise<X509Certificate | string> {
  const name = hostOf(publicUrl)
  return new Promise((resolve) => {
    const socket = connect({
      host: everywhere[address.host] ?? address.host,
      port: address.port,
      // What is shown is what is looked at, and nothing is sent.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      ...(isIP(name) === 0 ? { servername: name } : {}),
    })
    const end = (answer: X509Certificate | string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end('silence'), dialMilliseconds)
    socket.once('secureConnect', () => end(socket.getPeerX509Certificate() ?? 'no certificate'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    socket.once('close', () => end('closed'))
  })
}
