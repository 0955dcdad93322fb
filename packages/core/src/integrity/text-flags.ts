/**
 * What in a text is meant for a model and not for the person who approves it: characters that nobody sees, and sentences
 * that give orders. A list of what is known; what it does not find is not thereby harmless. Linear in the text.
 */

export type TextFlag = 'invisible_characters' | 'terminal_escape' | 'html_comment' | 'hidden_markup' | 'orders_to_model'

/**
 * Zero-width characters, joiners, bidirectional controls, soft hyphens, fillers, tags and variation selectors. The one that
 * makes an emoji of the symbol before it is seen.
 */
const INVISIBLE =
  /(?<![\p{Extended_Pictographic}0-9#*])\ufe0f|(?!\ufe0f)\p{Default_Ignorable_Code_Point}|[\ufff9-\ufffb]/u
const ANY_INVISIBLE = new RegExp(INVISIBLE, 'gu')
// oxlint-disable-next-line no-control-regex -- what terminals obey is what is looked for
const ESCAPE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/
const ANY_ESCAPE = new RegExp(ESCAPE, 'g')
const COMMENT = '<!--'
/** Tags by which descriptions speak to models beside their readers. */
const MARKUP = /<\/?(?:important|system|instructions?|hidden|secret|assistant|prompt|admin|critical)\b/i

/** Each begins with a fixed word, and says with at most a few words between what is to be done: bounded, without nesting. */
const orders: readonly RegExp[] = [
  /\b(?:ignore|disregard|forget|override)\s{1,4}(?:\w{1,16}\s{1,4}){0,3}(?:previous|prior|earlier|above|preceding|other)\b/i,
  /\b(?:ignore|disregard|override)\s{1,4}(?:\w{1,16}\s{1,4}){0,3}(?:instructions?|guidelines|rules|system prompt)\b/i,
  /\b(?:do not|don't|never|without)\s{1,4}(?:\w{1,16}\s{1,4}){0,2}(?:tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing|show|alert)\s{1,4}(?:\w{1,16}\s{1,4}){0,3}(?:user|human|anyone|anybody|them)\b/i,
  /\b(?:hide|conceal|keep)\s{1,4}(?:this|it|that)\s{1,4}(?:secret\s{1,4})?from\s{1,4}(?:the\s{1,4})?(?:user|human)\b/i,
  /\b(?:before|prior to|when|whenever|after)\s{1,4}(?:you\s{1,4})?(?:using|calling|invoking|running|use|call|invoke)\s{1,4}(?:this|any|the|other|another)\s{1,4}(?:\w{1,16}\s{1,4}){0,2}tools?\b[^.]{0,80}\b(?:read|send|pass|include|call|fetch|open|collect)\b/i,
  /\byou\s{1,4}(?:must|have to|shall)\s{1,4}(?:always\s{1,4}|first\s{1,4})?(?:read|send|pass|include|call|use|fetch|forward|copy)\b/i,
  /\b(?:new|real|actual|updated)\s{1,4}(?:system\s{1,4})?instructions?\s{0,4}:/i,
  /\b(?:send|forward|upload|post|exfiltrate|bcc|copy)\s{1,4}(?:\w{1,16}\s{1,4}){0,5}to\s{1,4}(?:https?:\/\/|[\w.+-]{1,64}@[\w-]{1,64}\.)/i,
  /(?:~|\$HOME|\/home\/\w{1,32}|\/root)\/\.(?:ssh|aws|cursor|config|gnupg|kube|netrc|npmrc)\b/i,
  /\b(?:id_rsa|id_ed25519|mcp\.json|\.env\b|system prompt|conversation history|chat history)/i,
]

/** So much of one text is looked through; what is longer is flagged for that (`oversized`) by whoever bounds texts. */
const MAX_LOOKED = 262_144

export function textFlags(text: string): readonly TextFlag[] {
  const looked = text.slice(0, MAX_LOOKED)
  const flags: TextFlag[] = []
  if (INVISIBLE.test(looked)) flags.push('invisible_characters')
  if (ESCAPE.test(looked)) flags.push('terminal_escape')
  if (looked.includes(COMMENT)) flags.push('html_comment')
  // What is hidden between letters shall not hide words from us.
  const plain = looked.replaceAll(ANY_INVISIBLE, '').normalize('NFKC')
  if (MARKUP.test(plain)) flags.push('hidden_markup')
  if (orders.some((pattern) => pattern.test(plain))) flags.push('orders_to_model')
  return flags
}

/** The text with what nobody sees spelled out, such as `\u{200b}`. */
export function spelledOut(text: string): string {
  const spell = (found: string) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`
  return text.replaceAll(ANY_INVISIBLE, spell).replaceAll(ANY_ESCAPE, spell)
}
