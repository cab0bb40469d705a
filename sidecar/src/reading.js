// From a stanza and its decrypted bytes to what the queue is told: pure, so that live and recovered messages read alike.
import { getContentType, normalizeMessageContent, proto, unpadRandomMax16 } from 'baileys';

const MEDIA = { imageMessage: 'image', videoMessage: 'video', audioMessage: 'audio', documentMessage: 'document', stickerMessage: 'sticker' };
const NOT_WRITTEN = new Set(['protocolMessage', 'senderKeyDistributionMessage', 'messageContextInfo', 'deviceSentMessage', 'keepInChatMessage', 'pollUpdateMessage']);
const OURS = /^3EB0[0-9A-F]{18}$/;
const RECEIPTS = { '': 'delivered', delivery: 'delivered', read: 'read', played: 'read' };

/** The content of a decrypted message, or undefined if a person would see nothing of it. @param {Uint8Array} padded */
export function contentOf(padded) {
  const message = proto.Message.decode(unpadRandomMax16(padded));
  if (message.deviceSentMessage) return undefined; // our own, told by the number's phone
  const inner = normalizeMessageContent(message) ?? {};
  const kind = getContentType(inner);
  if (!kind || NOT_WRITTEN.has(kind)) return undefined;
  const part = inner[kind];
  if (kind === 'conversation') return { type: 'text', text: part };
  if (kind === 'extendedTextMessage') return { type: 'text', text: part.text ?? '' };
  if (kind === 'reactionMessage') return { type: 'reaction', emoji: part.text ?? '', message_id: part.key?.id };
  if (kind === 'locationMessage') return { type: 'location', latitude: part.degreesLatitude, longitude: part.degreesLongitude, name: part.name || undefined };
  if (MEDIA[kind]) return media(MEDIA[kind], part);
  return { type: kind.replace(/Message(V\d)?$/, '') || 'unknown' };
}

/**
 * What of a stanza the journal keeps. A group's content gets another type: nothing may answer a group by mistake.
 * @param {Record<string, string>} attrs
 */
export function envelope(attrs, content) {
  const isGroup = attrs.from.endsWith('@g.us');
  const author = attrs.participant || attrs.from;
  const isHidden = author.endsWith('@lid');
  return {
    messageId: attrs.id,
    author,
    number: isHidden ? attrs.participant_pn || attrs.sender_pn : author,
    sentAt: Number(attrs.t) * 1000,
    name: attrs.notify,
    content: isGroup ? { ...content, type: `group_${content.type}`, group: attrs.from } : content,
  };
}

/** Whether a person wrote it to this number or one of its groups: no status update, channel or echo. */
export function isWritten(attrs, me) {
  const user = jid => jid?.split('@')[0].split(':')[0];
  const author = attrs.participant || attrs.from;
  if (!/@(s\.whatsapp\.net|lid|g\.us)$/.test(attrs.from)) return false;
  return ![user(me?.id), user(me?.lid)].includes(user(author));
}

/** The receipts in a `receipt` stanza for messages that we sent, with the time that the server gives. */
export function receiptsOf({ attrs, content }) {
  const status = RECEIPTS[attrs.type ?? ''];
  if (!status) return [];
  const list = Array.isArray(content) ? content.flatMap(node => (Array.isArray(node.content) ? node.content : [])) : [];
  const ids = [attrs.id, ...list.map(item => item.attrs?.id)].filter(id => OURS.test(id ?? ''));
  return [...new Set(ids)].map(messageId => ({ messageId, status, at: Number(attrs.t) * 1000 || Date.now() }));
}

function media(type, part) {
  const said = {
    type,
    caption: part.caption || undefined,
    mime_type: part.mimetype || undefined,
    file_name: part.fileName || undefined,
    bytes: part.fileLength ? Number(part.fileLength) : undefined,
    sha256: part.fileSha256?.length ? Buffer.from(part.fileSha256).toString('hex') : undefined,
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}
