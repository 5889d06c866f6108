/** Names of the calls of the contract, kept apart so that the event loop does not load the thread's code. */
import type { StoreCalls } from './operations.ts'

const NAMES: Record<keyof StoreCalls, true> = {
  recordCode: true,
  login: true,
  refresh: true,
  endLogin: true,
  devices: true,
  revokeDevice: true,
  checkLogin: true,
  openSession: true,
  closeSession: true,
  saveSubscriptions: true,
  startInbox: true,
  drain: true,
  saveCursors: true,
  expireSessions: true,
  requestContact: true,
  acceptContact: true,
  refuseContact: true,
  removeContact: true,
  blockContact: true,
  unblockContact: true,
  contacts: true,
  createGroup: true,
  addMembers: true,
  removeMembers: true,
  leaveGroup: true,
  groups: true,
  members: true,
  conversations: true,
  markRead: true,
  page: true,
  endPlainSession: true,
}

export const OPERATION_NAMES = Object.keys(NAMES) as (keyof StoreCalls)[]
