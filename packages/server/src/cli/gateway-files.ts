/** The files that a gateway was started with, read anew while it runs. */

import type { GatewayReading } from '../apps/gateway-reload.ts'
import type { GatewaySettings } from '../apps/gateway-settings.ts'
import { loadConfiguration } from '../config/load.ts'
import { readPolicy, rereadPolicy } from '../config/policy-reading.ts'
import type { PolicyReading } from '../config/policy-reading.ts'
import { changesElsewhere, configurationChanges, configurationDigest, isGatewayKey } from '../config/reloading.ts'
import { deploymentOf } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'

export class GatewayFiles {
  /** What other processes were started with: a reload of ours does not bring them anything. */
  readonly #started: Deployment
  readonly #settingsOf: (deployment: Deployment) => Promise<GatewaySettings>
  /** As the gateway goes by now. */
  #held: Deployment

  constructor(started: Deployment, settingsOf: (deployment: Deployment) => Promise<GatewaySettings>) {
    this.#started = started
    this.#held = started
    this.#settingsOf = settingsOf
  }

  get digest(): string {
    return configurationDigest(this.#held.configuration)
  }

  readonly rereadPolicy = (): Promise<PolicyReading> => rereadPolicy(this.#held, isGatewayKey)

  /** Throws the codes of `loadConfiguration`, of `configurationChanges` and of the settings. */
  readonly reread = async (): Promise<GatewayReading> => {
    const held = this.#held
    const now = deploymentOf(await loadConfiguration(held.file))
    const changed = configurationChanges(held, now)
    return {
      settings: await this.#settingsOf(now),
      policy: await readPolicy(now),
      digests: { from: configurationDigest(held.configuration), to: configurationDigest(now.configuration) },
      changed,
      elsewhere: changesElsewhere(this.#started, now),
      taken: () => {
        this.#held = now
      },
    }
  }
}
