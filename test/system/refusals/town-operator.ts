/** What the operator has set up beside the town, each as much as allowed. */
import { admin } from '../../harness/admin.ts'
import { newUid } from '../../harness/people.ts'
import type { Town } from './town.ts'

export type OperatorThings = {
  system: string
  bot: string
  /** Was removed. */
  retired: string
  /** Keys of the bot: as many as it may have stand, one was ended. */
  endedKey: string
  /** As many as may run, and one that was stopped. */
  running: string
  stopped: string
  webhook: string
  removedWebhook: string
}

const KEYS_MAX = 20
const BROADCASTS_MAX = 10
const BROADCAST_TO = 500
const WEBHOOKS_MAX = 100
const WORDS_MAX = 20_000
const WORDS_EACH = 1000

/** In the town nobody takes a resting account up again, so that nothing is delivered. */
const NO_EVENTS = { url: 'http://127.0.0.1:9/events', events: ['account.active'] }

export async function setUp(town: Town): Promise<OperatorThings> {
  const { server } = town
  const [system, bot, retired] = ['news', 'robot', 'retired'].map(newUid) as [string, string, string]
  await admin(server, 'addSystemAccount', { uid: system, name: 'News' })
  await admin(server, 'addBot', { uid: bot, name: 'Robot' })
  await admin(server, 'addBot', { uid: retired, name: 'Retired' })
  await admin(server, 'removeBot', { uid: retired })
  const { id: endedKey } = await admin(server, 'addApiKey', { uid: bot, name: 'ended' })
  await admin(server, 'endApiKey', { id: endedKey })
  for (let i = 0; i < KEYS_MAX; i++) await admin(server, 'addApiKey', { uid: bot, name: `key ${i}` })

  const broadcast = (id: string) =>
    admin(server, 'broadcast', {
      id,
      from: system,
      body: { text: id },
      filter: { uids: town.crowd.slice(0, BROADCAST_TO) },
    })
  await broadcast('stopped')
  await admin(server, 'stopBroadcast', { id: 'stopped' })
  for (let i = 0; i < BROADCASTS_MAX; i++) await broadcast(`running-${i}`)

  await admin(server, 'addWebhook', { id: 'removed', ...NO_EVENTS })
  await admin(server, 'removeWebhook', { id: 'removed' })
  for (let i = 0; i < WEBHOOKS_MAX; i++) await admin(server, 'addWebhook', { id: `hook-${i}`, ...NO_EVENTS })

  const known = await admin(server, 'removeWords', { words: ['of nobody'] })
  for (let start = known.words; start < WORDS_MAX; start += WORDS_EACH) {
    const count = Math.min(WORDS_EACH, WORDS_MAX - start)
    const words = Array.from({ length: count }, (_, i) => `filler-${start + i}`)
    await admin(server, 'setWords', { words: words.map((word) => ({ word, action: 'mask' as const })) })
  }
  return {
    ...{ system, bot, retired, endedKey },
    ...{ running: 'running-0', stopped: 'stopped', webhook: 'hook-0', removedWebhook: 'removed' },
  }
}
