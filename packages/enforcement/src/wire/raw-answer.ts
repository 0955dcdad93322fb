/** Answers written on a socket when the HTTP parser refused the request and there is no response object. */

import { STATUS_CODES } from 'node:http'

/** A complete answer without body that closes the connection. */
export function rawAnswer(status: number, securityHeaders: Readonly<Record<string, string>>): string {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`, 'Connection: close', 'Content-Length: 0']
  for (const [name, value] of Object.entries(securityHeaders)) lines.push(`${name}: ${value}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
