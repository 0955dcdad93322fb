/** `doorward login`: a person signs in at a provider, and this identity calls on their behalf for an hour at most. */

import type { Command } from 'commander'
import { DoorwardError, userName } from '@doorward/core'
import type { Login } from '@doorward/sdk'
import type { IssuerSettings, LoginSettings } from '../config/issuer-settings.ts'
import { issuerSettings } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asIdentity, asOption } from './identity-option.ts'
import { painter, printable } from './output.ts'

interface LoginOptions {
  readonly as?: string
  readonly device: boolean
  readonly browser: boolean
  readonly status: boolean
}

export function register(program: Command, context: CliContext): void {
  program
    .command('login')
    .description('sign in at a provider: calls of this identity are made on your behalf, for an hour at most')
    .argument('[issuer]', 'name under issuers: in the configuration; the only one with a sign-in by default')
    .option('--device', 'sign in on another device, by a code', false)
    .option('--no-browser', 'show the address instead of opening a browser')
    .option('--status', 'show who is signed in, and change nothing', false)
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward login\n  doorward login corp --device\n  doorward login --status')
    .action((issuer: string | undefined, options: LoginOptions) =>
      options.status ? status(context, options) : login(context, issuer, options),
    )
}

async function login(context: CliContext, name: string | undefined, options: LoginOptions): Promise<void> {
  const deployment = await context.deployment()
  const settings = chosen(issuerSettings(deployment), name, deployment.file)
  const { openLoginStore } = await import('../apps/local-identities.ts')
  const { requestLogin, ServerRefused } = await import('@doorward/sdk')
  const store = await openLoginStore({ deployment, environment: context.environment }, options.as)
  // First of all: who may not call at all need not sign in.
  await asIdentity(context, options.as, async (identity) => {
    const signedIn = await signIn(context, settings, options)
    const made = await requestLogin(identity, { ...signedIn, signal: context.signal }).catch((error: unknown) => {
      throw error instanceof ServerRefused ? explained(error, settings) : error
    })
    await store.write(made)
    tell(context, made, identity.id.uri)
  })
}

type WithLogin = IssuerSettings & { readonly login: LoginSettings }

function chosen(all: readonly IssuerSettings[], name: string | undefined, file: string): WithLogin {
  const usable = all.filter((one): one is WithLogin => one.login !== null)
  const names = usable.map((one) => one.name)
  const found = name === undefined && usable.length === 1 ? usable[0] : usable.find((one) => one.name === name)
  if (found !== undefined) return found
  throw new DoorwardError(
    'issuer_unknown',
    name === undefined ? 'several issuers have a sign-in, or none' : `no issuer ${name} has a sign-in`,
    {
      where: file,
      expected: names.length === 0 ? 'login: under an issuer of issuers:' : names.join(', '),
    },
  )
}

async function signIn(context: CliContext, settings: WithLogin, { device, browser }: LoginOptions) {
  const { signInWithBrowser, signInWithDevice } = await import('../apps/sign-in.ts')
  const { signal } = context
  if (device) {
    return signInWithDevice({
      settings,
      signal,
      show: ({ userCode, verificationUrl, completeUrl }) => {
        context.err(`open ${printable((completeUrl ?? verificationUrl).href)}`)
        context.err(`and enter the code ${printable(userCode)}`)
      },
    })
  }
  const { openBrowser } = await import('../apps/open-browser.ts')
  return signInWithBrowser({
    settings,
    signal,
    show: async (url) => {
      const opened = browser && (await openBrowser(url, context.environment))
      context.err(
        opened ? 'sign in in the browser; if none has opened, open' : 'open this address in a browser of this machine:',
      )
      context.err(printable(url.href))
      if (!opened) context.err('without one here: doorward login --device')
    },
  })
}

function tell(context: CliContext, { user, expires }: Login, identity: string): void {
  if (context.json) return context.out(JSON.stringify(jsonOf({ user, expires }, identity)))
  const paint = painter(context.color)
  context.out(`${paint('green', '✓')} signed in as ${printable(userName(user))}`)
  const groups = user.groups.length === 0 ? '' : `, in ${printable(user.groups.join(', '))}`
  context.out(paint('dim', `  ${identity} calls on your behalf until ${timeText(expires)}${groups}`))
}

function jsonOf({ user, expires }: Pick<Login, 'user' | 'expires'>, identity: string): object {
  return { signed_in: true, user: userName(user), groups: user.groups, expires_at: expires, identity }
}

async function status(context: CliContext, { as }: LoginOptions): Promise<void> {
  const { openLocalIdentity, openLoginStore } = await import('../apps/local-identities.ts')
  const place = { deployment: await context.deployment(), environment: context.environment }
  const identity = await openLocalIdentity(place, as)
  identity.close()
  const held = await (await openLoginStore(place, as)).read()
  const live = held !== null && held.expires * 1000 > Date.now()
  if (!live)
    throw new CheckFailed('login_missing', 'nobody is signed in here', {
      ...(held === null ? {} : { got: `the sign-in of ${userName(held.user)} ended at ${timeText(held.expires)}` }),
      next: 'doorward login',
    })
  tell(context, held, identity.id.uri)
}

const reasons: Readonly<Record<string, string>> = {
  token_binding: 'the ID token was not made for this sign-in; a device code needs login.device at the authority',
  token_issuer: 'the authority knows no such issuer: its configuration and yours differ, or it was not started again',
  token_audience: 'the ID token is for another client: compare login.client_id with the provider',
  token_claims: 'a claim that claims.require or claims.groups asks for is missing or another',
  token_algorithm: 'the provider signs with an algorithm that is not among algorithms',
  token_key_unknown: 'the provider signs with a key that it does not publish',
  token_expired: 'the sign-in is too old: the clocks differ, or login.max_age_seconds is over',
  workload_excluded: 'this identity may not act for people: login.workloads names others',
  user_too_large: 'too many groups: narrow claims.group_prefix',
}

function explained(
  error: InstanceType<typeof import('@doorward/sdk').ServerRefused>,
  { name }: IssuerSettings,
): CheckFailed {
  const reason = error.details?.['reason']
  const next = typeof reason === 'string' ? reasons[reason] : undefined
  return new CheckFailed(error.code, `the authority refused the sign-in at ${name}`, {
    ...(typeof reason === 'string' ? { got: reason } : {}),
    next: next ?? 'the record of the authority says what was wrong',
    ...(error.decision === null ? {} : { where: `decision ${error.decision}` }),
  })
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '')
}
