/** The operator's list of words, which every node holds in memory and reads again when its version has changed. */
import { WORDS_MAX } from '../../../../protocol/admin/moderation.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { ListedWord, WordAction } from '../../../moderation/word-list.ts'
import type { Transaction } from '../transaction.ts'
import type { OperatorOperations } from './operator.ts'

const WORDS_EACH_PAGE = 1000
/** Of the list, in the table of progress. */
const VERSION = 'banned_words'

export const bannedWordOperations: OperatorOperations<'words' | 'setWords' | 'removeWords'> = {
  async words(tx, { after = '' }) {
    const words = await tx.query<ListedWord>(
      'select word, action from banned_word where word > $1 order by word limit $2',
      [after, WORDS_EACH_PAGE + 1],
    )
    return { words: words.slice(0, WORDS_EACH_PAGE), more: words.length > WORDS_EACH_PAGE }
  },

  async setWords(tx, { words }) {
    await lockList(tx)
    for (const { word, action } of words) {
      await tx.query(
        `insert into banned_word (word, action, changed_at) values ($1, $2, $3)
         on conflict (word) do update set action = excluded.action, changed_at = excluded.changed_at`,
        [word, action, tx.now],
      )
    }
    const count = await countWords(tx)
    if (count > WORDS_MAX) throw new WochatError('too_many_words')
    return { words: count }
  },

  async removeWords(tx, { words }) {
    await lockList(tx)
    await tx.query(`delete from banned_word where word in ${tx.list('$1', 'text')}`, [words])
    return { words: await countWords(tx) }
  },
}

export const bannedWordTasks = {
  /** The whole list, if its version is not the known one. */
  async bannedWords(
    tx: Transaction,
    { known }: { known: number },
  ): Promise<{ version: number; words: ListedWord[] } | null> {
    const row = await tx.first<{ position: string }>('select position from progress where name = $1', [
      VERSION,
    ])
    const version = Number(row?.position ?? 0)
    if (version === known) return null
    const words = await tx.query<{ word: string; action: WordAction }>(
      'select word, action from banned_word order by word limit $1',
      [WORDS_MAX],
    )
    return { version, words }
  },
}

/** Gives the list its next version; two changes wait for each other. */
async function lockList(tx: Transaction): Promise<void> {
  await tx.query(
    `insert into progress (name, position) values ($1, '1')
     on conflict (name) do update set position = cast(cast(progress.position as bigint) + 1 as text)`,
    [VERSION],
  )
}

async function countWords(tx: Transaction): Promise<number> {
  return (await tx.first<{ count: number }>('select count(*) as count from banned_word'))!.count
}
