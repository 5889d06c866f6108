/** Friends, requests and blocks: the `contacts.` part of the catalogue. */
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { ContactStore } from '../store/contract.ts'

export type ContactSettings = {
  /** Friends, open requests and blocks of one account. */
  contactsMax: number
}

export function createContactHandlers(
  store: ContactStore,
  { contactsMax }: ContactSettings,
): HandlersOf<'contacts.'> {
  return {
    'contacts.request': (params, context) =>
      store.requestContact({ ...params, caller: callerOf(context), contactsMax }),
    'contacts.accept': (params, context) =>
      store.acceptContact({ ...params, caller: callerOf(context), contactsMax }),
    'contacts.refuse': (params, context) => store.refuseContact({ ...params, caller: callerOf(context) }),
    'contacts.list': (_params, context) => store.contacts(callerOf(context).uid),
    'contacts.remove': (params, context) => store.removeContact({ ...params, caller: callerOf(context) }),
    'contacts.block': (params, context) =>
      store.blockContact({ ...params, caller: callerOf(context), contactsMax }),
    'contacts.unblock': (params, context) => store.unblockContact({ ...params, caller: callerOf(context) }),
  }
}
