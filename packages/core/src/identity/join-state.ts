/**
 * Join states (reference id BS-2): what an instance is given with every certificate and shows when it comes for the next.
 * The number orders what processes of one folder have got; the rest is the secret.
 */

const FORM = /^([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})$/

export interface JoinStateParts {
  readonly number: number
  readonly secret: string
}

/** Null for any other text. */
export function readJoinState(text: string): JoinStateParts | null {
  const [, number = '', secret = ''] = FORM.exec(text) ?? []
  return secret === '' ? null : { number: Number(number), secret }
}
