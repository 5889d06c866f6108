/** Where Fastify serves a route of the table: `:name` where OpenAPI has `{name}`. */
import { HTTP_ROUTES, type RouteName } from '../../protocol/http-routes.ts'

export function routeUrl(name: RouteName): string {
  return HTTP_ROUTES[name].path.replace(/\{(\w+)\}/g, ':$1')
}
