/** The operation of accounts that needs more than the store: the archive is fetched over HTTP. */
import { HTTP_ROUTES } from '../../protocol/http-routes.ts'
import type { Handler } from '../dispatcher.ts'

type AccountHandlers = { readonly 'accounts.export': Handler<'accounts.export'> }

/** `httpUrl`: where clients reach the HTTP side. */
export function createAccountHandlers({ httpUrl }: { httpUrl: () => string }): AccountHandlers {
  return {
    async 'accounts.export'() {
      return { url: `${httpUrl().replace(/\/$/, '')}${HTTP_ROUTES['accounts.archive'].path}` }
    },
  }
}
