/** The operation of accounts that needs more than the store: the archive is fetched over HTTP. */
import type { Handler } from '../dispatcher.ts'

/** Where the archive of the caller is. */
export const EXPORT_PATH = '/v1/export'

export type AccountHandlers = { readonly 'accounts.export': Handler<'accounts.export'> }

/** `httpUrl`: where clients reach the HTTP side. */
export function createAccountHandlers({ httpUrl }: { httpUrl: () => string }): AccountHandlers {
  return {
    async 'accounts.export'() {
      return { url: `${httpUrl().replace(/\/$/, '')}${EXPORT_PATH}` }
    },
  }
}
