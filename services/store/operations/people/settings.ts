/** What people set, by name. A value is kept where it differs from the default or was set; null puts the default back. */
import type { Result } from '../../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import { LIST_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import type { StorePolicy } from '../../policy.ts'
import { changedSince, touch } from '../changes.ts'
import type { StoredPart } from '../stored.ts'
import type { Transaction } from '../transaction.ts'
import { tellSelf } from './account-state.ts'

export type Settings = Result<'settings.get'>

/** What stands where nobody set anything. Where strangers write to each other, they also see each other. */
export function defaultSettings({ contactsRequired }: StorePolicy): Settings {
  return {
    findByUid: true,
    findByPhone: true,
    whoMayAdd: 'everybody',
    lastSeenTo: contactsRequired ? 'friends' : 'everybody',
    sendReadReceipts: true,
    doNotDisturb: null,
    language: null,
  }
}

export const settingsOperations: StoredPart<'settings.'> = {
  async 'settings.get'(tx, { caller }) {
    return readSettings(tx, await tx.findAccount(caller.uid))
  },

  async 'settings.set'(tx, { caller, ...changes }) {
    const named = Object.entries(withCheckedValues(changes)) as [keyof Settings, unknown][]
    const account = await tx.ensureAccount(caller.uid)
    if (named.length === 0) return readSettings(tx, account)
    await tx.lockAccounts([account])
    for (const [name, value] of named) {
      if (value === null) {
        await tx.query('delete from setting where account = $1 and name = $2', [account, name])
        continue
      }
      await tx.query(
        `insert into setting (account, name, value, changed_at) values ($1, $2, $3, $4)
         on conflict (account, name) do update set value = excluded.value, changed_at = excluded.changed_at`,
        [account, name, JSON.stringify(value), tx.now],
      )
    }
    await touch(tx, account, 'settings', ...named.map(([name]) => name))
    await tellSelf(tx, caller, 'settings')
    return readSettings(tx, account)
  },

  async 'settings.changes'(tx, { caller, since, limit }) {
    const account = await tx.findAccount(caller.uid)
    if (account === undefined) return { items: [], version: since, more: false }
    const { keys, version, more } = await changedSince(
      tx,
      account,
      'settings',
      since,
      limit ?? LIST_ITEMS_DEFAULT,
    )
    const settings = new Map<string, unknown>(Object.entries(await readSettings(tx, account)))
    return { items: keys.map((name) => ({ name, value: settings.get(name) ?? null })), version, more }
  },
}

/** The value of one setting of any account. */
export async function settingOf<Name extends keyof Settings>(
  tx: Transaction,
  account: number,
  name: Name,
): Promise<Settings[Name]> {
  const row = await tx.first<{ value: string }>(
    'select value from setting where account = $1 and name = $2',
    [account, name],
  )
  return row === undefined ? defaultSettings(tx.policy)[name] : JSON.parse(row.value)
}

async function readSettings(tx: Transaction, account: number | undefined): Promise<Settings> {
  const defaults = defaultSettings(tx.policy)
  if (account === undefined) return defaults
  const rows = await tx.query<{ name: string; value: string }>(
    'select name, value from setting where account = $1',
    [account],
  )
  const set = rows.filter(({ name }) => Object.hasOwn(defaults, name))
  return {
    ...defaults,
    ...Object.fromEntries(set.map(({ name, value }) => [name, JSON.parse(value)])),
  }
}

type Changes = { [Name in keyof Settings]?: Settings[Name] | null }

/** Checks what a schema cannot say: that the zone and the language exist. The language comes in its canonical form. */
function withCheckedValues(changes: Changes): Changes {
  const { doNotDisturb, language } = changes
  if (doNotDisturb != null && !isTimeZone(doNotDisturb.timezone)) {
    throw new WochatError('bad_request', 'doNotDisturb.timezone: not an IANA time zone')
  }
  return language == null ? changes : { ...changes, language: canonicalLanguage(language) }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function canonicalLanguage(tag: string): string {
  try {
    return new Intl.Locale(tag).toString()
  } catch {
    throw new WochatError('bad_request', 'language: not a tag of BCP 47')
  }
}
