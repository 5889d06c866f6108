/** What was said in the town. */
import { admin } from '../../harness/admin.ts'
import { until } from '../../harness/wait.ts'
import { BANNED_WORD } from './situation.ts'
import type { Town } from './town.ts'

/** Seqs of messages; what is not said to be of a group is of the conversation of anna with somebody. */
export type Said = {
  /** With ben: anna's, from long ago. */
  old: number
  mine: number
  recalled: number
  edited: number
  /** Destroys itself, some day. */
  doomed: number
  bens: number
  /** With each of who turns away afterwards. */
  toEx: number
  toWall: number
  toSleeper: number
  /** In the group ours; what came before `late` was let in. */
  ofOwner: number
  ofMember: number
  ofMuted: number
  ofLeft: number
  inQuiet: number
  /** Of the pest, which the swallower does not see. */
  swallowed: number
  /** With herself: as many are pinned as allowed, and the last one is not. */
  notes: number[]
}

const MONTH_MS = 30 * 24 * 60 * 60 * 1000
const PINS_MAX = 50

let sent = 0

export async function say(town: Town): Promise<Said> {
  const { ours, quiet } = town.groups
  const send = async (role: string, to: string, body: object = { text: `said ${sent}` }) => {
    const message = { id: `said-${sent++}`, to, type: 'text', body }
    return (await town.do<{ seq: number }>(role, 'messages.send', message)).seq
  }
  const toRole = (role: string, peer: string, body?: object) => send(role, town.who(peer), body)
  for (const [a, b] of [
    ...['ben', 'ex', 'wall', 'sleeper', 'anna'].map((peer) => ['anna', peer] as const),
    ['swallower', 'pest'] as const,
  ]) {
    town.places.set(town.direct(a, b), town.who(a))
  }

  const old = await importOld(town)
  const recalled = await toRole('anna', 'ben')
  await town.do('anna', 'messages.recall', { log: town.direct('anna', 'ben'), seq: recalled })
  const edited = await toRole('anna', 'ben')
  await town.do('anna', 'messages.edit', {
    log: town.direct('anna', 'ben'),
    seq: edited,
    body: { text: 'edited' },
  })

  const ofOwner = await send('owner', ours)
  const ofMember = await send('member', ours)
  const ofMuted = await send('muted', ours)
  const ofLeft = await send('left', ours)
  const inQuiet = await send('member', quiet)
  await town.do('left', 'groups.leave', { id: ours })
  await town.do('owner', 'groups.mute', { id: ours, uid: town.who('muted'), untilMs: Date.now() + MONTH_MS })
  await town.do('owner', 'groups.ban', { id: ours, uid: town.who('banned') })
  await town.do('owner', 'groups.add', { id: ours, members: [town.who('late')] })
  await town.do('owner', 'groups.update', { id: quiet, whoWrites: 'admins', whoInvites: 'admins' })

  await toRole('swallower', 'pest')
  await town.do('swallower', 'contacts.block', { uid: town.who('pest'), mode: 'swallow' })
  const swallowed = await toRole('pest', 'swallower')

  const notes: number[] = []
  for (let i = 0; i <= PINS_MAX; i++) notes.push(await toRole('anna', 'anna'))
  const log = town.direct('anna', 'anna')
  for (const seq of notes.slice(0, PINS_MAX)) await town.do('anna', 'messages.pin', { log, seq })
  await untilWordIsBanned(town)

  return {
    ...{ old, recalled, edited, ofOwner, ofMember, ofMuted, ofLeft, inQuiet, swallowed, notes },
    mine: await toRole('anna', 'ben'),
    doomed: await toRole('anna', 'ben', { text: 'for a while', expire: { afterMs: MONTH_MS } }),
    bens: await toRole('ben', 'anna'),
    toEx: await toRole('anna', 'ex'),
    toWall: await toRole('anna', 'wall'),
    toSleeper: await toRole('anna', 'sleeper'),
  }
}

/** A message of a month ago. */
async function importOld(town: Town): Promise<number> {
  const { head } = await admin(town.server, 'importMessages', {
    log: town.direct('anna', 'ben'),
    messages: [{ from: town.who('anna'), at: Date.now() - MONTH_MS, id: 'old', body: { text: 'old' } }],
  })
  return head
}

/** The list of words comes into force a moment later, on each node for itself. */
async function untilWordIsBanned(town: Town): Promise<void> {
  const me = town.who('stranger')
  let refusals = 0
  await until(async () => {
    const sending = town.call('messages.send', me, { id: `word-${sent++}`, to: me, text: BANNED_WORD })
    const code = await sending.then(
      () => null,
      (error: { code?: string }) => error.code,
    )
    refusals = code === 'content_refused' ? refusals + 1 : 0
    // The nodes are asked in turns.
    return refusals >= 2 * town.server.nodes.length
  }, 'the banned word')
}
