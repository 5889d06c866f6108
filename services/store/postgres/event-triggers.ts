/**
 * Triggers that write events down, each in the transaction of what it tells. They exist only while a webhook wants what
 * they tell, so that a store without webhooks does nothing for them. Their functions are in migrations/0005_chat.sql.
 */
import type { EventSource, EventSources } from '../operations/operator/events.ts'
import type { Work } from './work.ts'

const EACH_STATEMENT = 'referencing new table as entered for each statement execute function'

const TRIGGERS: Record<EventSource, { table: string; on: string }> = {
  entries: { table: 'entry', on: `after insert on entry ${EACH_STATEMENT} record_entries` },
  accounts: { table: 'account', on: `after insert on account ${EACH_STATEMENT} record_accounts` },
  accountStates: {
    table: 'account',
    on: 'after update of state on account for each row when (new.state <> old.state) execute function record_account_state',
  },
  suspensions: {
    table: 'account',
    on: `after update of suspended_until on account for each row
      when (new.suspended_until is distinct from old.suspended_until and new.state <> 'erased')
      execute function record_suspension`,
  },
  media: {
    table: 'media',
    on: `after update of state on media for each row when (new.state = 'ready' and old.state <> 'ready')
      execute function record_media`,
  },
  reports: { table: 'report', on: 'after insert on report for each row execute function record_report' },
}

/**
 * From now on these sources write events, and no others. What is as it should be is left alone, because a change of
 * triggers waits for every transaction that writes to the table.
 */
export async function watchSources(work: Work, sources: EventSources): Promise<void> {
  const rows = await work.query<{ name: string; about: string | null }>(
    `select tgname as name, obj_description(oid, 'pg_trigger') as about from pg_trigger
     where tgname like 'event\\_of\\_%'`,
  )
  const known = new Map(rows.map(({ name, about }) => [name, about ?? '']))
  for (const [source, { table, on }] of Object.entries(TRIGGERS) as [
    EventSource,
    (typeof TRIGGERS)[EventSource],
  ][]) {
    const name = `event_of_${source.toLowerCase()}`
    const kinds = sources.get(source)?.join(' ')
    if (kinds === known.get(name)) continue
    if (known.has(name)) await work.query(`drop trigger ${name} on ${table}`)
    if (kinds === undefined) continue
    const list = kinds === '' ? '' : kinds.split(' ').map((kind) => `'${kind}'`)
    await work.query(`create trigger ${name} ${on}(${list})`)
    await work.query(`comment on trigger ${name} on ${table} is '${kinds}'`)
  }
}
