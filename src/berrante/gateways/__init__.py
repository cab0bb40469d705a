"""Ways to reach WhatsApp behind one protocol; a gateway knows no database and no queue."""
