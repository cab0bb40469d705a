// What WhatsApp says of writing to strangers: a time-lock and a quota. Who is a stranger, and when to stop, the Python side
// decides, which knows the contacts; it is asked when there is a limit at all.
import { write } from './log.js';
import { Refused } from './refusals.js';

export class NewChats {
  /** As it was told, times in milliseconds, null for a time without an end; undefined if nothing was. */
  told;

  /** Read both, and go on hearing of them; `changed` is called when a lock is told, and when none is after an opening. */
  follow(socket, instanceId, changed) {
    const tell = more => (this.told = { locked: false, locked_until: null, quota: 0, used: 0, quota_ends: null, ...this.told, ...more });
    const capped = ({ total_quota: total, used_quota: used, cycle_end_timestamp: ends, capping_status: status } = {}) => {
      const quota = Number(total) || 0;
      tell({ quota, used: Math.max(Number(used) || 0, status === 'CAPPED' ? quota : 0), quota_ends: ends ? Number(ends) * 1000 : null });
    };
    socket.ev.on('message-capping.update', capped);
    socket.ev.on('connection.update', async ({ connection, reachoutTimeLock: lock }) => {
      if (lock) tell({ locked: Boolean(lock.isActive), locked_until: lock.timeEnforcementEnds?.getTime() ?? null });
      if (connection === 'open') {
        // An account without limits may have no answer to it.
        const unread = error => write('debug', 'new_chats.unread', { instance_id: instanceId, reason: error.message });
        socket.fetchNewChatMessageCap().then(capped).catch(unread);
        await socket.fetchAccountReachoutTimelock().catch(unread);
      }
      if (lock || connection === 'open') changed();
    });
  }

  /** Run a send. @param {{is_cold?: boolean, most?: number}} message `most` strangers may be written to; `Refused` beyond it */
  async guard({ is_cold: isCold, most }, send) {
    if (!this.told?.locked && !this.told?.quota) return send();
    if (isCold === undefined) throw new Refused('is_it_cold', { new_chats: this.told });
    if (!isCold) return send();
    if (most !== undefined && this.told.used >= most) throw new Refused('new_chats_stopped');
    this.told.used++; // before the answer: sends to many strangers at once must not pass together
    try {
      return await send();
    } catch (error) {
      this.told.used--; // it comes again, or never
      throw error;
    }
  }
}
