/** Secrets in the environment of a server's processes: put together anew for each process, never on its command line. */

import type { JsonObject } from '@doorward/core'
import type { SecretVariables, VariablesFor } from '../../transports/late-process.ts'
import type { CredentialParts } from './header-credential.ts'

/** Null where no variable is a secret. */
export function secretVariables(
  variables: Readonly<Record<string, string>>,
  { server, secrets, known }: CredentialParts,
): VariablesFor | null {
  const wanted = Object.entries(variables)
  if (wanted.length === 0) return null
  return async (principal) => {
    const found: [string, string][] = []
    const uses: JsonObject[] = []
    for (const [variable, name] of wanted) {
      const used = await secrets.use({ name, server, principal })
      // A process of the gateway's own does without what is meant for callers with a role.
      if ('code' in used && principal === null && used.code === 'credential_withheld') continue
      if ('code' in used) return used
      known.remember(`${name} ${used.version}`, used.value)
      found.push([variable, used.value.reveal()])
      uses.push({ secret: name, version: used.version, variable })
    }
    return { variables: Object.fromEntries(found), uses } satisfies SecretVariables
  }
}
