/**
 * Triggers that write events down, each in the transaction of what it tells. They exist only while a webhook wants what
 * they tell, so that a store without webhooks does nothing for them. Entries of sends are told when they are filed.
 */

import type { EventSource, EventSources } from '../operations/operator/events.ts'
import { FOR_GOOD } from '../operations/people/account-state.ts'
import type { Database } from './database.ts'

/** When the event was written down, ms. */
const NOW = `cast(unixepoch('subsec') * 1000 as integer)`

const ENTRY = `
  '{"log":"' || log.name || '","epoch":"k' || log.epoch || '","seq":' || new.seq || ',"at":' || new.at
    || ',"kind":"' || new.kind || '","from":"' || account.uid || '","device":' || json_quote(new.device)
    || ',"id":' || json_quote(new.id) || ',"type":"' || new.type || '","body":' || new.body || '}'`

const MEDIA = `'{"media":"' || new.id || '","uid":"' || account.uid || '","bytes":' || new.bytes
    || ',"type":' || json_quote(new.type) || '}'`

const REPORT = `'{"report":' || new.n || ',"reporter":"' || reporter.uid || '","uid":"' || account.uid
    || '","log":' || json_quote((select name from log where n = new.log)) || ',"seq":' || json_quote(new.seq)
    || ',"reason":' || json_quote(new.reason) || '}'`

const SUSPENDED = `'{"uid":"' || old.uid || '","until":'
    || case new.suspended_until when ${FOR_GOOD} then 'null' else new.suspended_until end || '}'`

const TRIGGERS: Record<EventSource, (kinds: readonly string[]) => string> = {
  entries: (kinds) => `
    after insert on entry when new.kind in (${kinds.map((kind) => `'${kind}'`).join(', ')}) begin
      insert into event (at, type, body)
      select ${NOW},
        case new.kind
          when 'message' then 'message.stored' when 'edit' then 'message.edited'
          when 'recall' then 'message.recalled' when 'reaction' then 'message.reacted'
          else new.kind || '.' || new.type
        end, ${ENTRY}
      from log, account where log.n = new.log and account.n = new.account;
    end`,
  accounts: () => `
    after insert on account begin
      insert into event (at, type, body) values (${NOW}, 'account.created', '{"uid":"' || new.uid || '"}');
    end`,
  accountStates: () => `
    after update of state on account when new.state <> old.state begin
      insert into event (at, type, body)
      values (${NOW}, 'account.' || new.state, '{"uid":"' || old.uid || '"}');
    end`,
  suspensions: () => `
    after update of suspended_until on account
    when new.suspended_until is not old.suspended_until and new.state <> 'erased' begin
      insert into event (at, type, body)
      select ${NOW}, 'account.restored', '{"uid":"' || old.uid || '"}' where new.suspended_until is null
      union all
      select ${NOW}, 'account.suspended', ${SUSPENDED} where new.suspended_until is not null;
    end`,
  media: () => `
    after update of state on media when new.state = 'ready' and old.state <> 'ready' begin
      insert into event (at, type, body)
      select ${NOW}, 'media.ready', ${MEDIA} from account where account.n = new.account;
    end`,
  reports: () => `
    after insert on report begin
      insert into event (at, type, body)
      select ${NOW}, 'report.made', ${REPORT}
      from account, account as reporter where account.n = new.account and reporter.n = new.reporter;
    end`,
}

/** From now on these sources write events, and no others. */
export function watchSources({ connection }: Database, sources: EventSources): void {
  for (const [source, build] of Object.entries(TRIGGERS) as [EventSource, (typeof TRIGGERS)[EventSource]][]) {
    const kinds = sources.get(source)
    connection.exec(`drop trigger if exists event_of_${source}`)
    if (kinds !== undefined) connection.exec(`create trigger event_of_${source} ${build(kinds)}`)
  }
}
