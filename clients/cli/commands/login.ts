/** `wochat login`, `logout` and `devices`: a login of this machine, kept in a profile. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { WochatError } from '../../../protocol/errors.ts'
import { createHttpCall } from '../../sdk/http.ts'
import { type CommonOptions, print, printJson, printTable, reportFailure, userCommand } from '../command.ts'
import { formatTime } from '../format.ts'
import { findProfile, profilePath, removeProfile, saveProfile } from '../profile.ts'
import { DEFAULT_URL, type Session } from '../session.ts'

export function registerLogin(program: Command): void {
  program
    .command('login <phone>')
    .description('log in by a code that is sent to a phone (+8613800000001)')
    .option('--profile <name>', 'where to keep the login', 'default')
    .option('--url <url>', 'HTTP address of the server', DEFAULT_URL)
    .option('--code <code>', 'a code that was sent already; none is asked for')
    .option('--uid <uid>', 'the uid to choose at the first login')
    .option('--device <id>', 'the device id to log in as')
    .option('--name <text>', 'what to call this device', hostname().slice(0, 64))
    .action((phone: string, options: LoginOptions) => reportFailure(() => login(phone, options)))
  userCommand(program, 'logout', 'end the login and forget it', logout)
  userCommand<DevicesOptions>(program, 'devices', 'list the devices of the account', devices).option(
    '--revoke <id>',
    'end a device: its logins, its session and its connection',
  )
}

type LoginOptions = {
  profile: string
  url: string
  code?: string
  uid?: string
  device?: string
  name: string
}

async function login(phone: string, options: LoginOptions): Promise<void> {
  const { url } = options
  const path = profilePath(options.profile)
  const call = createHttpCall({ url, token: null })
  if (options.code === undefined) await call('auth.requestCode', { phone })
  const code = options.code ?? (await askCode(phone))
  const deviceId =
    options.device ?? (await findProfile(path))?.deviceId ?? `cli-${randomBytes(4).toString('hex')}`
  const tokens = await call('auth.login', {
    phone,
    code,
    ...(options.uid !== undefined && { uid: options.uid }),
    device: { id: deviceId, kind: 'cli', name: options.name },
  }).catch(sayHowToGoOn)
  await saveProfile(path, { ...tokens, url, deviceId })
  await print(`logged in as ${tokens.uid} on device ${deviceId}`)
}

function sayHowToGoOn(error: unknown): never {
  if (!(error instanceof WochatError) || error.code !== 'bad_code') throw error
  throw new WochatError(
    'bad_code',
    `${error.message} A further wochat login, without --code, sends a new one.`,
  )
}

/** From the terminal, or the first line of a pipe. */
async function askCode(phone: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, terminal: false })
  process.stderr.write(`code sent to ${phone}: `)
  try {
    for await (const line of lines) {
      // On a terminal the person has ended the line.
      if (!process.stdin.isTTY) process.stderr.write('\n')
      return line.trim()
    }
  } finally {
    lines.close()
  }
  process.stderr.write('\n')
  throw new WochatError('bad_code', `no code was typed; give it by wochat login ${phone} --code <code>`)
}

async function logout(session: Session, _: string[], options: CommonOptions): Promise<void> {
  try {
    await session.call('auth.logout', {})
  } catch (error) {
    // A login that the server ended already is only forgotten.
    if (!(error instanceof WochatError) || !ENDED.has(error.code)) throw error
  }
  if (session.loggedIn) await removeProfile(profilePath(options.profile))
  await print(`logged out ${session.uid}`)
}

const ENDED: ReadonlySet<string> = new Set(['unauthenticated', 'revoked', 'bad_refresh', 'refresh_reused'])

type DevicesOptions = CommonOptions & { revoke?: string }

async function devices(session: Session, _: string[], options: DevicesOptions): Promise<void> {
  if (options.revoke !== undefined) {
    await session.call('auth.revoke', { deviceId: options.revoke })
    await print(`revoked ${options.revoke}`)
    return
  }
  const result = await session.call('auth.devices', {})
  if (options.json) return printJson(result)
  const rows = result.devices.map((device) => [
    device.current ? '*' : '',
    device.id,
    device.kind,
    formatTime(device.seenAt),
    device.name,
  ])
  await printTable(['', 'device', 'kind', 'seen', 'name'], rows)
}
