/** What Node reports of a listener, in our words. */

import { DoorwardError } from '@doorward/core'

/** The status with which a request is refused that the parser of HTTP did not take. */
export function parserStatus(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

/** `port_in_use`, `address_unavailable`, or the error itself. */
export function listenError(error: NodeJS.ErrnoException, name: string, where: string): Error {
  if (error.code === 'EADDRINUSE') {
    return new DoorwardError('port_in_use', `the ${name} listener cannot have its port: another process has it`, {
      where,
      next: 'stop the other process or configure another port',
      cause: error,
    })
  }
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'EACCES' || error.code === 'ENOTFOUND') {
    return new DoorwardError('address_unavailable', `the ${name} listener cannot have its address: ${error.code}`, {
      where,
      cause: error,
    })
  }
  return error
}
