/** What of a host's configuration may be a secret, and is therefore not copied. In doubt it is one. */

const SECRET_NAME = /token|key|secret|pass|pwd|credential|auth|cookie|session|dsn|private|salt|sign|bearer/i
/** Words, numbers, switches and locales; paths; addresses without credentials and query. */
const PLAIN = /^([a-z][a-z-]{0,15}|[0-9.,:]{1,12}|[a-z]{2}_[A-Z]{2}(\.UTF-8)?|v?[0-9]+(\.[0-9]+){1,3})$/i
const PATH = /^(~?\/|\.\.?\/|[A-Z]:\\)[^\s:@?=]*$/
const ADDRESS = /^https?:\/\/[^\s/@?#]+(\/[^\s@?#]{0,100})?$/
const KNOWN_SECRET =
  /^(gh[a-z]_|github_pat_|glpat-|sk-|xox[a-z]-|AKIA|ASIA|AIza|eyJ|-----BEGIN)|:\/\/[^\s/]*@|\b(bearer|basic) \S/i

/** True when what goes by this name should be kept to itself. */
export function namesSecret(name: string): boolean {
  return SECRET_NAME.test(name)
}

/** Whether the value of a variable may be written down: a harmless name, and a value that is plainly no secret. */
export function isPlainSetting(name: string, value: string): boolean {
  return !namesSecret(name) && (PLAIN.test(value) || PATH.test(value) || ADDRESS.test(value))
}

/** The option of a command line that carries a secret, without its value; null when none does. */
export function secretWord(words: readonly string[]): string | null {
  for (const [i, word] of words.entries()) {
    const [flag = '', value] = word.split('=', 2)
    const named = flag.startsWith('-') && namesSecret(flag)
    if (named && (value !== undefined || (words[i + 1] ?? '-').startsWith('-') === false)) return flag
    if (/^[A-Za-z-]+: ?\S/.test(word) && namesSecret(word.slice(0, word.indexOf(':')))) return 'a header'
    if (KNOWN_SECRET.test(value ?? word)) return flag.startsWith('-') ? flag : `argument ${i}`
  }
  return null
}
