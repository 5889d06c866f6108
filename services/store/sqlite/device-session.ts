/** The stored MQTT session of a device. */
import type { ClientId } from '../../../protocol/ids.ts'
import { endPlainSession } from './plain-session.ts'
import type { Work } from './work.ts'

/** Ends what a device left behind: its session, its cursors and with them its offline queue, and its plain side. */
export function endDeviceSession(work: Work, clientId: ClientId): void {
  work.db
    .prepare('delete from cursor where session in (select n from session where client_id = ?)')
    .run(clientId)
  work.db.prepare('delete from session where client_id = ?').run(clientId)
  endPlainSession(work, clientId)
}
