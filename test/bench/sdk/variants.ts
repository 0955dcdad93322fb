/** What a program may be: each has one part more than the one before it, so that differences are shares. */

export const variants = ['bare', 'listener', 'unrecorded', 'protected'] as const
export type Variant = (typeof variants)[number]

export const variantTexts: Readonly<Record<Variant, string>> = {
  bare: 'bare server of node:https',
  listener: 'our listener, nothing decided',
  unrecorded: 'protect, nothing recorded',
  protected: 'protect, record durable',
}

export function isVariant(text: string): text is Variant {
  return text in variantTexts
}
