/** Settings for whoever waits for no bound: each is as long as it may be, so that what a busy machine delays looks like no outage. */
export const UNBOUNDED = {
  KEYHOLE_DEADLINE_MS: '60000',
  KEYHOLE_UPSTREAM_TIMEOUT_MS: '30000',
  KEYHOLE_AUDIT_TIMEOUT_MS: '10000',
  KEYHOLE_REPLY_TIMEOUT_MS: '120000',
  KEYHOLE_DRAIN_MS: '300000',
} as const
