// From a stanza and its decrypted bytes to what the queue is told: pure, so that live and recovered messages read alike.
import { getContentType, normalizeMessageContent, proto, unpadRandomMax16 } from 'baileys';

const MEDIA = { imageMessage: 'image', videoMessage: 'video', audioMessage: 'audio', documentMessage: 'document', stickerMessage: 'sticker' };
const NOT_WRITTEN = new Set(['protocolMessage', 'senderKeyDistributionMessage', 'messageContextInfo', 'deviceSentMessage', 'keepInChatMessage', 'pollUpdateMessage']);
const OURS = /^3EB0[0-9A-F]{18}$/;
const RECEIPTS = { '': 'delivered', delivery: 'delivered', read: 'read', played: 'read' };

/** The digits of a JID. */
export const user = jid => jid?.split('@')[0].split(':')[0];

/** The content of a decrypted message, in the shape that the Cloud API has too, or undefined if a person would see nothing. */
export function contentOf(padded) {
  const message = decoded(padded);
  if (!message || message.deviceSentMessage) return undefined; // the latter is our own, told by the number's phone
  const inner = normalizeMessageContent(message) ?? {};
  const kind = getContentType(inner);
  if (!kind || NOT_WRITTEN.has(kind)) return undefined;
  const part = inner[kind];
  const context = part.contextInfo?.stanzaId && { context: { id: part.contextInfo.stanzaId } };
  return { ...described(kind, part), ...context };
}

function decoded(padded) {
  try {
    return proto.Message.decode(unpadRandomMax16(padded));
  } catch {
    return undefined; // Baileys reads the same bytes next, fails, and the line raises the alert
  }
}

function described(kind, part) {
  if (kind === 'conversation') return { type: 'text', text: part };
  if (kind === 'extendedTextMessage') return { type: 'text', text: part.text ?? '' };
  if (kind === 'reactionMessage') return { type: 'reaction', reaction: { emoji: part.text ?? '', message_id: part.key?.id } };
  if (kind === 'locationMessage') return { type: 'location', location: { latitude: part.degreesLatitude, longitude: part.degreesLongitude, name: part.name || undefined } };
  const type = MEDIA[kind];
  if (!type) return { type: kind.replace(/Message(V\d)?$/, '') || 'unknown' };
  const base64 = bytes => Buffer.from(bytes ?? []).toString('base64');
  const where = { type, path: part.directPath, key: base64(part.mediaKey), mime: part.mimetype };
  const said = {
    // All that it takes to fetch and decrypt the file, as `gateways/baileys/downloads.py` reads it.
    id: where.path && where.key && Buffer.from(JSON.stringify(where)).toString('base64url'),
    caption: part.caption,
    mime_type: part.mimetype,
    filename: part.fileName,
    size: Number(part.fileLength ?? 0),
    sha256: base64(part.fileSha256),
  };
  return { type, [type]: Object.fromEntries(Object.entries(said).filter(([, value]) => value)) };
}

/** What of a stanza the journal keeps. A group's content gets another type: nothing may answer a group by mistake. */
export function envelope(attrs, content) {
  const isGroup = attrs.from.endsWith('@g.us');
  const author = attrs.participant || attrs.from;
  return {
    messageId: attrs.id,
    author,
    number: author.endsWith('@lid') ? attrs.participant_pn || attrs.sender_pn : author,
    sentAt: Number(attrs.t) * 1000,
    name: attrs.notify,
    content: isGroup ? { ...content, type: `group_${content.type}`, group: attrs.from } : content,
  };
}

/** Whether a person wrote it to this number or one of its groups: no status update, channel or echo. */
export function isWritten(attrs, me) {
  const author = user(attrs.participant || attrs.from);
  return /@(s\.whatsapp\.net|lid|g\.us)$/.test(attrs.from) && author !== user(me?.id) && author !== user(me?.lid);
}

/** The receipts in a `receipt` stanza for messages that we sent, with the time that the server gives. */
export function receiptsOf({ attrs, content }) {
  const status = RECEIPTS[attrs.type ?? ''];
  if (!status) return [];
  const list = Array.isArray(content) ? content.flatMap(node => (Array.isArray(node.content) ? node.content : [])) : [];
  const ids = [attrs.id, ...list.map(item => item.attrs?.id)].filter(id => OURS.test(id ?? ''));
  return [...new Set(ids)].map(messageId => ({ messageId, status, at: Number(attrs.t) * 1000 || Date.now() }));
}
