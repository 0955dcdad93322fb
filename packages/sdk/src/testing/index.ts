/** What a program's tests need instead of an authority. No deployment trusts anything of it. */

export { testAuthority } from './test-authority.ts'
export type { TestAuthority, TestAuthorityOptions, TestIdentity, TestWorkload } from './test-authority.ts'
export { testCall, testPrincipal } from './test-call.ts'
export type { TestAnswer, TestPrincipalOptions, TestRequest } from './test-call.ts'
