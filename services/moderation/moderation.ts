/**
 * What screens messages on this node: the list of words, which the store keeps for all nodes, and then the hook. With
 * neither of them messages go to the store at once. What people write beside messages is screened by the list alone.
 */
import type { Logger } from 'pino'
import { asWochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import { startBackgroundTask } from '../background/background-task.ts'
import type { MessageIntake } from '../messages/ports.ts'
import type { Refusal, ScreenedMessage, Screening, Verdict } from '../messages/screening.ts'
import type { Store } from '../store/contract.ts'
import { BeforeSendHook, type BeforeSendSettings } from './before-send-hook.ts'
import { WordScreening } from './word-screening.ts'

/** A change of the list is in force on every node after this long. */
const RELOAD_MS = 2000
const RETRY_MS = 2000

class ModerationScreening implements Screening {
  readonly words = new WordScreening()
  readonly hook: BeforeSendHook | null
  /** Set before the first message comes. */
  store: Pick<Store, 'perform'> | null = null
  readonly #log: Pick<Logger, 'warn'>

  constructor(hook: BeforeSendHook | null, log: Pick<Logger, 'warn'>) {
    this.hook = hook
    this.#log = log
  }

  screen(message: ScreenedMessage): Verdict | Promise<Verdict> {
    const verdict = this.words.screen(message)
    if (this.hook === null || verdict.verdict === 'refuse' || verdict.verdict === 'withhold') return verdict
    if (verdict.verdict === 'accept') return this.hook.screen(message)
    return this.#screenMasked(this.hook, message, verdict)
  }

  async judgeAuthor(uid: UserId): Promise<Refusal | null> {
    try {
      await this.store!.perform({ task: 'assertMaySend', input: { uid } })
      return null
    } catch (error) {
      const { code, message, details } = asWochatError(error)
      if (code === 'internal') this.#log.warn({ err: error }, 'the author of a message could not be judged')
      return { verdict: 'refuse', code, message, details }
    }
  }

  /** The hook sees what would be stored; what it accepts stays masked. */
  async #screenMasked(
    hook: BeforeSendHook,
    message: ScreenedMessage,
    masked: Verdict & { verdict: 'replace' },
  ): Promise<Verdict> {
    const asked = await hook.screen({ ...message, bodyJson: JSON.stringify(masked.body) })
    return asked.verdict === 'accept' ? masked : asked
  }
}

export type Moderation = {
  hook: BeforeSendHook | null
  words: WordScreening
  /** Reads the list of words, and again whenever it has changed. Resolves when the first one is in force. */
  start(store: Pick<Store, 'perform'>): Promise<AsyncDisposable>
}

export function createModeration(
  settings: BeforeSendSettings | null,
  intake: Pick<MessageIntake, 'screening'>,
  log: Pick<Logger, 'warn'>,
): Moderation {
  const hook = settings === null ? null : new BeforeSendHook(settings, log)
  const screening = new ModerationScreening(hook, log)
  if (hook !== null) intake.screening = screening
  let version = -1

  async function reload(store: Pick<Store, 'perform'>): Promise<void> {
    const list = await store.perform({ task: 'bannedWords', input: { known: version } })
    if (list === null) return
    screening.words.words = list.words
    version = list.version
    // Without a hook every verdict is there at once, so that no message is overtaken when screening ends.
    if (hook === null) intake.screening = list.words.length === 0 ? null : screening
  }

  return {
    hook,
    words: screening.words,
    async start(store) {
      screening.store = store
      await reload(store)
      return startBackgroundTask({
        name: 'the list of words is read',
        async step() {
          await reload(store)
          return RELOAD_MS
        },
        retryMs: RETRY_MS,
        log,
      })
    },
  }
}
