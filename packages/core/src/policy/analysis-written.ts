/** Which policies somebody has written. */

/** All but those that every deployment has, and those that let a role open sessions where it has a permission. */
export function isWritten({ id }: { readonly id: string }): boolean {
  return !id.startsWith('builtin:') && !/^role:[^/]*\/session$/.test(id)
}
