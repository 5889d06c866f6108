/** Who verifies tokens and answers the catalogue: the same for MQTT and HTTP. */
import type { Logger } from 'pino'
import type { Live } from '../broker/live/live.ts'
import type { Config } from '../config.ts'
import { createAccountHandlers } from '../services/accounts/account-handlers.ts'
import { type Archives, createArchives } from '../services/accounts/archive.ts'
import { createApiKeys } from '../services/auth/api-keys.ts'
import { createAuthHandlers } from '../services/auth/auth-service.ts'
import type { Keyring } from '../services/auth/keyring.ts'
import { createConsoleSms } from '../services/auth/sms/console.ts'
import type { SmsProvider } from '../services/auth/sms/provider.ts'
import { createWebhookSms } from '../services/auth/sms/webhook.ts'
import type { TokenVerifier } from '../services/auth/token.ts'
import { createTokenVerifier } from '../services/auth/verifier.ts'
import { createDispatcher, type Dispatcher, type DispatcherParts } from '../services/dispatcher.ts'
import { createMediaHandlers } from '../services/media/media-handlers.ts'
import { createMessageHandlers } from '../services/messages/message-handlers.ts'
import { MessageSender } from '../services/messages/message-sender.ts'
import type { MessageTracing } from '../services/messages/ports.ts'
import { createEditHandlers } from '../services/moderation/screened-edits.ts'
import { createFieldHandlers } from '../services/moderation/screened-fields.ts'
import { createPresenceHandlers } from '../services/presence/presence-handlers.ts'
import { createRoomHandlers } from '../services/presence/room-handlers.ts'
import type { Store } from '../services/store/contract.ts'
import { createStoredHandlers } from '../services/stored-handlers.ts'
import type { Endpoints } from './endpoints.ts'
import { buildIntake, type Intake } from './intake.ts'
import type { Media } from './media.ts'

type ServiceParts = {
  config: Config
  store: Store
  keys: Keyring
  live: Live
  tracing: MessageTracing
  media: Media
  /** Filled while listening starts; read when clients ask. */
  endpoints: Endpoints
  /** Limits that all nodes share; undefined for those of this process. */
  createLimiter?: DispatcherParts['createLimiter'] | undefined
  log: Logger
}

/** Where clients are told to come. */
type PublicEndpoints = () => { mqtt: string; ws: string; http: string }

export type Services = Intake & {
  verifier: TokenVerifier
  dispatcher: Dispatcher
  keys: Keyring
  publicEndpoints: PublicEndpoints
  archives: Archives
  media: Media
}

export function buildServices(given: ServiceParts): Services {
  const { config, store, keys, live, tracing, media, endpoints, createLimiter, log } = given
  const publicEndpoints = () => ({
    mqtt: config.publicMqttUrl ?? endpoints.mqtts ?? endpoints.mqtt,
    ws: config.publicWsUrl ?? endpoints.ws,
    http: config.publicHttpUrl ?? endpoints.http,
  })
  const { intake, moderation } = buildIntake({ config, transient: live, tracing, log })
  const dispatcher = createDispatcher({
    handlers: buildHandlers(given, { intake, moderation }, publicEndpoints),
    store,
    limits: limitsOf(config),
    ...(createLimiter !== undefined && { createLimiter }),
    log,
  })
  const verifier = createTokenVerifier({
    keyring: keys,
    identity: identityOf(config),
    issuers: config.issuers,
    apiKeys: createApiKeys(store),
    log,
  })
  return {
    verifier,
    dispatcher,
    keys,
    publicEndpoints,
    archives: createArchives({ store, media: media.service }),
    media,
    intake,
    moderation,
  }
}

/** Each operation of the catalogue. */
function buildHandlers(
  { config, store, keys, live, media, log }: ServiceParts,
  { intake, moderation }: Intake,
  publicEndpoints: PublicEndpoints,
) {
  const httpUrl = () => publicEndpoints().http
  return {
    ...createAuthHandlers({
      store,
      keyring: keys,
      sms: smsProvider(config, log),
      endpoints: publicEndpoints,
      settings: {
        identity: identityOf(config),
        accessTokenTtlMs: config.accessTokenTtlMs,
        refreshTokenTtlMs: config.refreshTokenTtlMs,
        codesPerPhoneMax: config.codesPerPhoneMax,
        codesPerAddressMax: config.codesPerAddressMax,
        codesWindowMs: config.codesWindowMs,
        devicesMax: config.devicesPerAccountMax,
      },
    }),
    ...createStoredHandlers(store),
    ...createFieldHandlers(store, moderation.words),
    ...createEditHandlers(store, intake),
    ...createAccountHandlers({ httpUrl }),
    ...createPresenceHandlers(store, live.presence),
    ...createRoomHandlers(store, live),
    ...createMediaHandlers({ ...media, httpUrl }),
    ...createMessageHandlers({
      store,
      sender: new MessageSender(store, intake),
      payloadBytesMax: config.payloadBytesMax,
    }),
  }
}

/** Of access tokens, as they are made and verified. */
function identityOf(config: Config) {
  return { issuer: config.tokenIssuer, audience: config.tokenAudience }
}

/** Rate classes of calls. */
function limitsOf(config: Config): DispatcherParts['limits'] {
  return {
    account: { perSecond: config.callsPerSecondMax, burst: config.callsPerSecondMax * 2 },
    address: { perSecond: config.callsPerSecondMax * 20, burst: config.callsPerSecondMax * 40 },
    costly: { perSecond: config.costlyCallsPerMinuteMax / 60, burst: config.costlyCallsPerMinuteMax },
    rare: { perSecond: config.rareCallsPerHourMax / 3600, burst: config.rareCallsPerHourMax },
  }
}

function smsProvider(config: Config, log: Logger): SmsProvider {
  if (config.sms === 'console') return createConsoleSms()
  return createWebhookSms({
    url: config.smsWebhookUrl!,
    secret: config.smsWebhookSecret?.reveal() ?? null,
    log,
  })
}
