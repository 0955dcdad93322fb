/** Cedar's `decimal`: 64 bits in ten-thousandths (Cedar reference, extension types). */

import { EvaluationError } from './evaluation-error.ts'
import { int64 } from './int64.ts'

const FORM = /^(-?)([0-9]+)\.([0-9]{1,4})$/

export class Decimal {
  readonly typeName = 'decimal'
  readonly tenThousandths: bigint

  private constructor(tenThousandths: bigint) {
    this.tenThousandths = tenThousandths
  }

  /** Throws `EvaluationError` for another form, or more than 64 bits. */
  static parse(text: string): Decimal {
    const [, sign, whole, fraction] = FORM.exec(text) ?? []
    if (whole === undefined || fraction === undefined) throw new EvaluationError('not a decimal')
    const size = BigInt(whole) * 10_000n + BigInt(fraction.padEnd(4, '0'))
    return new Decimal(int64(sign === '-' ? -size : size))
  }

  equals(other: unknown): boolean {
    return other instanceof Decimal && other.tenThousandths === this.tenThousandths
  }
}
