/** Where messages are posted to: one spelling, and nothing that could be read as a template. */

const PATH = /^(?:\/|(?:\/[A-Za-z0-9._~-]+)+)$/

export function isEndpointPath(path: string): boolean {
  return PATH.test(path)
}
