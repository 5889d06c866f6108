/**
 * Accounts, friendships and groups, made by operations over HTTP. Most people come with a token that the tests sign as a
 * trusted issuer; {@link logIn} takes the way of an app, with the code from what the server prints.
 */
import { randomBytes } from 'node:crypto'
import type { TestServer } from './server.ts'
import { until } from './wait.ts'

/** A uid that no other test uses, so that tests may share a server. */
export function newUid(name: string): string {
  return `${name}-${randomBytes(4).toString('hex')}`
}

export function newUids<const N extends string>(...names: N[]): string[] {
  return names.map(newUid)
}

/** Makes the accounts: an account of a trusted issuer begins with its first call. */
export async function makeAccounts(server: TestServer, ...uids: string[]): Promise<void> {
  for (const uid of uids) await server.http('contacts.list', {}, server.token(uid, null))
}

export async function befriend(server: TestServer, a: string, b: string): Promise<void> {
  await makeAccounts(server, a, b)
  await server.http('contacts.request', { uid: b }, server.token(a, null))
  await server.http('contacts.accept', { uid: a }, server.token(b, null))
}

/** The first person becomes friends with each of the others. */
export async function befriendAll(server: TestServer, hub: string, others: string[]): Promise<void> {
  await makeAccounts(server, hub, ...others)
  const hubToken = server.token(hub, null)
  await inTurns(others, 16, async (uid) => {
    await server.http('contacts.request', { uid: hub }, server.token(uid, null))
    await server.http('contacts.accept', { uid }, hubToken)
  })
}

/** Two friends of fresh names. */
export async function newFriends(server: TestServer): Promise<{ alice: string; bob: string }> {
  const [alice, bob] = [newUid('alice'), newUid('bob')]
  await befriend(server, alice, bob)
  return { alice, bob }
}

export function directLog(a: string, b: string): string {
  return a < b ? `d:${a}:${b}` : `d:${b}:${a}`
}

/** A group of the owner with members that must be friends of the owner; answers with `g:...`. */
export async function makeGroup(server: TestServer, owner: string, members: string[]): Promise<string> {
  const group = await server.http<{ id: string }>(
    'groups.create',
    { name: 'a group', members },
    server.token(owner, null),
  )
  return group.id
}

/** Runs `work` over the items, `width` at a time. */
export async function inTurns<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      await work(items[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
}

export type Login = { uid: string; accessToken: string; refreshToken: string; expiresAt: number }

let phones = 13_800_000_000

/** A phone number that no other test uses. */
export function newPhone(): string {
  phones += 1
  return `+86${phones}`
}

/** Has a code sent, and reads what the server prints, whichever node: the phone may have had others before. */
export async function requestCode(server: TestServer, phone: string): Promise<string> {
  const printed = () =>
    server.nodes.map(({ log }) => log.lines.filter((line) => line.startsWith(`sms to ${phone}: `)))
  const before = printed()
  await server.http('auth.requestCode', { phone })
  const line = await until(
    () =>
      printed()
        .find((lines, i) => lines.length > before[i]!.length)
        ?.at(-1),
    `the code sent to ${phone}`,
  )
  return /: (\d{6})/.exec(line)![1]!
}

/** Logs in by the code of an SMS. */
export async function logIn(
  server: TestServer,
  login: { phone: string; uid?: string; deviceId: string },
): Promise<Login> {
  const { phone, uid, deviceId } = login
  const code = await requestCode(server, phone)
  return server.http<Login>('auth.login', { phone, code, ...(uid && { uid }), device: { id: deviceId } })
}
