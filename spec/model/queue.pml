/*
 * One message on its way through the queue of spec/queue.md: a client that
 * hands it in, two scanners, two delivery attempts of the queue manager, the
 * clock that ends leases, an operator, and a power switch. Names are those of
 * spec/queue.md; T1 ... T12 are its transitions, sync, lazy and none its
 * classes. -DFAULT_... seeds one fault each; check.sh runs them all.
 */

#ifndef TROUBLES
#define TROUBLES 3
#endif
/* Any TROUBLES of these, in any order: crash of mtad or the machine; death of a
   scanner; lease that ends although its holder lives; client gone while it
   waits; transient refusal of the next hop; connection lost after the final
   dot; re-scan by the operator. */
byte troubles;
#define trouble	troubles < TROUBLES -> troubles++

#define POISON 2	/* lost claims that hold a message */

#define WORKERS 4	/* 0, 1: scanners; 2, 3: attempts of the queue manager */

/* NONE: never was. FIN: finished, a record remains. Active is no value: it is a
   lease of the queue manager, and mem says where the item falls back to. */
mtype = { NONE, UNF, INC, DEF, FIN };

mtype mem = NONE;	/* what the queue answers from */
mtype disk = NONE;	/* what a crash leaves */
bool memgen, diskgen;	/* the scanner's generation exists */
bool staged;		/* the client waits, nothing is committed */
bool held;		/* sync */
byte lost;		/* claims lost since the last change of state */

byte cur;		/* token of the living lease; 0: none */
byte holder;
byte tok[WORKERS];	/* the token a worker believes in; 0: none */
byte epoch;		/* incarnation of mtad */

/* What only the reader of the model knows. */
bool acked;		/* the client read its 250 */
bool judged;		/* the last word of the filters is accept */
bool discarded;		/* or: discard */
bool delivered;		/* the next hop has it */
bool reported;		/* the DSN is on disk */

/* Fencing: a change under a token is made while that very lease lives. */
#ifdef FAULT_NO_FENCING
#define accepts(i)	(tok[i] != 0 && cur != 0)
#else
#define accepts(i)	(tok[i] != 0 && tok[i] == cur)
#endif
#define holders		(accepts(0) + accepts(1) + accepts(2) + accepts(3))
#define known(t)	(tok[0] == t || tok[1] == t || tok[2] == t || tok[3] == t)

#ifdef FAULT_DOUBLE_GRANT
#define free		(true)
#else
#define free		(cur == 0)
#endif

/* sync: everything so far, and this, is on stable storage. */
inline sync() {
	if
	:: !staged -> disk = mem; diskgen = memgen
	:: else
	fi
}

/* T3, class none. A token is good for one lease and never again. */
inline grant(i) {
#ifdef FAULT_DOUBLE_GRANT
	if
	:: cur != 0
	:: else -> fresh()
	fi;
#else
	fresh();
#endif
	tok[i] = cur;
	holder = i;
	assert(holders == 1)
}

inline fresh() {
	if
	:: !known(1) -> cur = 1
	:: known(1) && !known(2) -> cur = 2
	:: known(1) && known(2) && !known(3) -> cur = 3
	:: known(1) && known(2) && known(3) && !known(4) -> cur = 4
	:: known(1) && known(2) && known(3) && known(4) -> cur = 5
	fi
}

/* The client, and the session at the door that speaks to it. */
proctype Client() {
	byte mine;
send:
	mine = epoch;
	{
		if
		:: goto after
		:: goto inline_
		fi;
after:		/* T1: the commit point, then the reply */
#ifdef FAULT_ACK_BEFORE_SYNC
		mem = UNF;
		acked = true;
		atomic { mem != NONE && disk == NONE -> disk = mem };
#else
		atomic { mem = UNF; disk = UNF };
		acked = true;
#endif
		goto end;
inline_:	/* T2: seen by the chain alone, not durable */
		atomic { mem = UNF; staged = true };
		if
		:: mem != UNF			/* judged */
		:: true				/* waited long enough: park */
		:: atomic { trouble;	/* it never existed */
			mem = NONE; staged = false; memgen = false; cur = 0; lost = 0;
			judged = false; discarded = false; held = false;
			goto send
		}
		fi;
		atomic {
			if
			:: staged && mem == FIN -> staged = false; disk = FIN; goto end	/* rejected: 5xx, never accepted */
			:: else
			fi;
			staged = false;
			sync()
		};
		acked = true;
		goto end
	} unless { mine != epoch };
	/* The connection broke. What is on disk was committed; a client without a
	   reply sends again, which makes another message. */
	if
	:: disk == NONE -> goto send
	:: else
	fi;
end:	skip
}

/* A scanner: it may die at any instruction, and answer at any time. */
proctype Scanner(byte i) {
end:	do
	:: atomic { mem == UNF && free && !held -> grant(i) };
		if
		:: atomic { trouble; tok[i] = 0 }
		:: true ->
		/* T5, T9: a verdict is one step, with its generation. */
verdict:		atomic {
				if
				:: !accepts(i)		/* ErrLeaseLost */
				:: accepts(i) ->
					assert(tok[i] == cur && mem == UNF);
					if
					:: mem = INC; judged = true; memgen = true
					:: mem = INC; judged = true; memgen = true; held = true	/* quarantine */
					:: mem = FIN; discarded = true
					fi;
					cur = 0; lost = 0;
#if defined(FAULT_TORN_VERDICT)
					if
					:: !staged -> disk = mem
					:: else
					fi
#elif !defined(FAULT_VERDICT_LAZY)
					sync()
#endif
				fi;
				tok[i] = 0
			}
		fi
	od
}

#ifdef FAULT_DELIVER_UNJUDGED
#define deliverable	(!staged && (mem == UNF || mem == INC || mem == DEF))
#elif defined(FAULT_DELIVER_STAGED)
#define deliverable	(mem == INC || mem == DEF)
#else
#define deliverable	(!staged && (mem == INC || mem == DEF))
#endif

/* An attempt of the queue manager, which dies with mtad. */
proctype Attempt(byte i) {
	byte mine;
start:	atomic { tok[i] = 0; mine = epoch };
	{
end:		do
		:: atomic {
				deliverable && free && !held ->
				grant(i);
				assert(judged);		/* never delivered before its verdict */
				assert(disk != NONE);	/* nor before its commit */
				assert(memgen)		/* nor without the edit of the verdict */
			};
			if
			:: delivered = true;
				if
				:: goto finish
				:: atomic { trouble; goto defer }
				fi
			:: atomic { trouble; goto defer }
			:: true ->	/* refused for good: the DSN, then the finish */
#ifdef FAULT_FINISH_BEFORE_REPORT
				atomic {
					if
					:: accepts(i) -> mem = FIN; cur = 0; sync()
					:: else
					fi;
					tok[i] = 0
				};
				reported = true;
				goto again
#else
				atomic { reported = true; if :: mem != NONE && !staged -> disk = mem; diskgen = memgen :: else fi };
				goto finish
#endif
			fi;
defer:			atomic {	/* T7, lazy */
				if
				:: accepts(i) -> assert(tok[i] == cur); mem = DEF; cur = 0; lost = 0
				:: else
				fi;
				tok[i] = 0; goto again
			};
finish:			atomic {	/* T8, lazy: a crash may repeat the delivery */
				if
				:: accepts(i) -> assert(tok[i] == cur && (delivered || reported)); mem = FIN; cur = 0; lost = 0
				:: else
				fi;
				tok[i] = 0
			};
again:			skip
		od
	} unless { mine != epoch };
	goto start
}

/* The clock: it ends leases, and syncs what is lazy. A living holder extends
   its lease in time, unless there is trouble. */
proctype Clock() {
end:	do
#ifndef FAULT_LEASE_NEVER_ENDS
	:: atomic {
			cur != 0 && (tok[holder] != cur || troubles < TROUBLES) ->
			if
			:: tok[holder] == cur -> troubles++
			:: else
			fi;
			cur = 0; lost++;
			if
			:: lost >= POISON -> held = true
			:: else
			fi
		}
#endif
	:: atomic { !staged && mem != NONE && disk != NONE && (mem != disk || memgen != diskgen) -> disk = mem; diskgen = memgen }
	od
}

proctype Operator() {
end:	do
	:: atomic { held && cur == 0 && mem != FIN -> held = false; lost = 0 }				/* T10 */
	:: atomic { held && cur == 0 && !staged && (mem == UNF || mem == INC || mem == DEF) ->		/* T10a */
			mem = FIN; discarded = true; held = false; sync() }
	:: atomic { troubles < TROUBLES && cur == 0 && !staged && (mem == INC || mem == DEF) ->	/* T11 */
			troubles++; mem = UNF; judged = false; held = false; lost = 0; sync() }
	od
}

/* kill -9, or no power: memory is gone, and with it leases and what was staged. */
proctype Power() {
end:	do
	:: atomic {
			trouble; epoch++;
			mem = disk; memgen = diskgen; staged = false; cur = 0;
			if
			:: disk == NONE -> judged = false; discarded = false; held = false; lost = 0
			:: else
			fi;
			assert(!judged || disk != UNF)	/* a verdict that was answered is not forgotten */
		}
	od
}

init {
	atomic {
		run Client(); run Scanner(0); run Scanner(1); run Attempt(2); run Attempt(3);
		run Clock(); run Operator(); run Power()
	}
}

#define there	(disk == UNF || disk == INC || disk == DEF)

ltl never_lost { [] (acked -> (there || delivered || reported || discarded)) }
ltl one_holder { [] (holders <= 1) }
ltl always_gone { [] (acked -> <> (disk == FIN)) }
