/** Events as syslog messages (RFC 5424), framed by octet counting (RFC 5425 §4.3). Pure. */

import type { ExportEvent } from './sink.ts'

/** Log audit. */
const FACILITY = 13
/** Severity by OCSF severity: informational, notice, warning, error, critical. */
const severities: Readonly<Record<number, number>> = { 1: 6, 2: 5, 3: 4, 4: 3, 5: 2 }
/** The enterprise number that RFC 5612 keeps for examples: the project has none of its own. */
const ENTERPRISE = 32473
const HOST_LENGTH = 255

/** PARAM-VALUE: `"`, `\` and `]` are escaped (RFC 5424 §6.3.3). Control characters, which would end lines elsewhere, become `?`. */
export function paramValue(value: string): string {
  return value.replaceAll(/["\\\]]/g, '\\$&').replaceAll(/\p{Cc}/gu, '?')
}

/** HOSTNAME: printable ASCII without spaces; `-` where nothing is left. */
function headerField(value: string): string {
  return value.replaceAll(/[^\u0021-\u007e]/g, '').slice(0, HOST_LENGTH) || '-'
}

/** The message is ASCII, so it needs no byte order mark. */
export function syslogMessage({ origin, index, kind, time, severity, json }: ExportEvent, host: string): string {
  const priority = FACILITY * 8 + (severities[severity] ?? 6)
  const data = `[doorward@${ENTERPRISE} origin="${paramValue(origin)}" index="${index}" kind="${kind}"]`
  return `<${priority}>1 ${new Date(time).toISOString()} ${headerField(host)} doorward - ${kind} ${data} ${json}`
}

/** `MSG-LEN SP SYSLOG-MSG`, in octets. */
export function framed(message: string): string {
  return `${Buffer.byteLength(message)} ${message}`
}
