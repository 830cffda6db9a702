"""Facts, words and phrasings that the generator (corpus.py) combines. Every sentence here is our own."""

# The tables are laid out by hand: one entry a line would make them ten times as long.
# fmt: off
# ------------------------------------------------------------------ facts
CAPITALS = {
    "France": ("Paris", "Europe"), "Germany": ("Berlin", "Europe"), "Italy": ("Rome", "Europe"), "Spain": ("Madrid", "Europe"),
    "Portugal": ("Lisbon", "Europe"), "Austria": ("Vienna", "Europe"), "Switzerland": ("Bern", "Europe"), "Belgium": ("Brussels", "Europe"),
    "Poland": ("Warsaw", "Europe"), "Greece": ("Athens", "Europe"), "Sweden": ("Stockholm", "Europe"), "Norway": ("Oslo", "Europe"),
    "Denmark": ("Copenhagen", "Europe"), "Finland": ("Helsinki", "Europe"), "Ireland": ("Dublin", "Europe"), "Hungary": ("Budapest", "Europe"),
    "Iceland": ("Reykjavik", "Europe"), "Romania": ("Bucharest", "Europe"), "Ukraine": ("Kyiv", "Europe"), "Croatia": ("Zagreb", "Europe"),
    "Japan": ("Tokyo", "Asia"), "China": ("Beijing", "Asia"), "India": ("New Delhi", "Asia"), "Thailand": ("Bangkok", "Asia"),
    "Vietnam": ("Hanoi", "Asia"), "Nepal": ("Kathmandu", "Asia"), "Mongolia": ("Ulaanbaatar", "Asia"), "South Korea": ("Seoul", "Asia"),
    "Iran": ("Tehran", "Asia"), "Iraq": ("Baghdad", "Asia"), "Egypt": ("Cairo", "Africa"), "Kenya": ("Nairobi", "Africa"),
    "Morocco": ("Rabat", "Africa"), "Ghana": ("Accra", "Africa"), "Senegal": ("Dakar", "Africa"), "Ethiopia": ("Addis Ababa", "Africa"),
    "Canada": ("Ottawa", "North America"), "Mexico": ("Mexico City", "North America"), "Cuba": ("Havana", "North America"),
    "Brazil": ("Brasilia", "South America"), "Peru": ("Lima", "South America"), "Chile": ("Santiago", "South America"),
    "Argentina": ("Buenos Aires", "South America"), "Australia": ("Canberra", "Oceania"),
}
COUNTRIES = list(CAPITALS)
CITIES = [c for c, _ in CAPITALS.values()]
CAP_Q = ["What is the capital of {c}?", "What's the capital of {c}?", "Which city is the capital of {c}?", "Name the capital of {c}.",
         "Tell me the capital of {c}.", "Do you know the capital of {c}?", "capital of {c}?", "{c}'s capital?",
         "I forgot the capital of {c}. What is it?", "Can you tell me the capital of {c}?"]
COLOURS = ["red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "black", "white", "grey"]
THING_COLOUR = {"the sky": "blue", "grass": "green", "snow": "white", "blood": "red", "a banana": "yellow", "coal": "black", "a lemon": "yellow",
    "a tomato": "red", "a carrot": "orange", "chocolate": "brown", "milk": "white", "the sun": "yellow", "a leaf": "green", "the night sky": "black",
    "an elephant": "grey", "a flamingo": "pink", "the sea": "blue", "a cucumber": "green", "a plum": "purple", "a pumpkin": "orange", "cheese": "yellow", "a frog": "green"}
MIX = {("red", "yellow"): "orange", ("blue", "yellow"): "green", ("red", "blue"): "purple", ("red", "white"): "pink", ("black", "white"): "grey"}
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
MLEN = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
ORD = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"]
SEASONS = ["spring", "summer", "autumn", "winter"]
OPP = {"hot": "cold", "big": "small", "up": "down", "fast": "slow", "day": "night", "open": "closed", "happy": "sad", "light": "dark", "old": "young",
    "rich": "poor", "strong": "weak", "early": "late", "high": "low", "wet": "dry", "full": "empty", "left": "right", "near": "far", "loud": "quiet",
    "hard": "soft", "thick": "thin", "good": "bad", "true": "false", "yes": "no", "in": "out", "long": "short", "clean": "dirty", "easy": "difficult",
    "front": "back", "first": "last", "push": "pull", "start": "stop", "win": "lose", "buy": "sell", "black": "white", "love": "hate", "north": "south",
    "east": "west", "deep": "shallow", "heavy": "light in weight", "sweet": "sour", "safe": "dangerous"}
PLURAL = {w: w + "s" for w in "cat dog tree house car book cup door bird stone river star apple table chair flower key ship road cloud".split()}
PLURAL |= {"child": "children", "mouse": "mice", "man": "men", "woman": "women", "foot": "feet", "tooth": "teeth", "goose": "geese", "box": "boxes", "bus": "buses",
    "city": "cities", "baby": "babies", "leaf": "leaves", "wolf": "wolves", "fish": "fish", "sheep": "sheep", "knife": "knives", "story": "stories", "fox": "foxes", "dish": "dishes", "person": "people"}
PAST = {"go": "went", "see": "saw", "run": "ran", "eat": "ate", "walk": "walked", "play": "played", "write": "wrote", "sing": "sang", "come": "came", "take": "took",
    "give": "gave", "make": "made", "find": "found", "talk": "talked", "jump": "jumped", "swim": "swam", "think": "thought", "buy": "bought", "send": "sent", "speak": "spoke"}
SOUND = {"dog": "woof", "cat": "meow", "cow": "moo", "duck": "quack", "sheep": "baa", "pig": "oink", "frog": "croak", "owl": "hoot", "lion": "roar", "bee": "buzz", "horse": "neigh", "mouse": "squeak"}
LEGS = {"dog": 4, "cat": 4, "spider": 8, "ant": 6, "bird": 2, "horse": 4, "bee": 6, "snake": 0, "cow": 4, "fish": 0, "duck": 2, "frog": 4}
YESNO = [("Is ice cold?", 1, "ice is cold"), ("Is fire hot?", 1, "fire is hot"), ("Is fire cold?", 0, "fire is hot"), ("Can a fish fly?", 0, "a fish swims"), ("Can a fish swim?", 1, "a fish can swim"),
    ("Can a bird fly?", 1, "most birds can fly"), ("Is the sun a star?", 1, "the sun is a star"), ("Is the moon a star?", 0, "the moon goes around the earth"), ("Is water wet?", 1, "water is wet"),
    ("Is a dog an animal?", 1, "a dog is an animal"), ("Is a stone alive?", 0, "a stone is not alive"), ("Is a tree alive?", 1, "a tree is alive"), ("Do cows eat grass?", 1, "cows eat grass"),
    ("Do fish live in trees?", 0, "fish live in water"), ("Is snow black?", 0, "snow is white"), ("Is sugar sweet?", 1, "sugar is sweet"), ("Is a lemon sweet?", 0, "a lemon is sour"),
    ("Is the earth round?", 1, "the earth is round"), ("Is the earth flat?", 0, "the earth is round"), ("Can people breathe under water?", 0, "people need air"), ("Is Monday a month?", 0, "Monday is a day"),
    ("Is May a month?", 1, "May is a month"), ("Is a car faster than a snail?", 1, "a snail is very slow"), ("Is an elephant small?", 0, "an elephant is big"), ("Is a mouse bigger than an elephant?", 0, "a mouse is small"),
    ("Is a triangle round?", 0, "a triangle has three sides"), ("Does a triangle have three sides?", 1, "a triangle has three sides"), ("Is glass hard?", 1, "glass is hard"), ("Is winter colder than summer?", 1, "winter is cold"),
    ("Is summer colder than winter?", 0, "summer is warm"), ("Do plants need light?", 1, "plants need light and water"), ("Can a computer eat?", 0, "a computer needs power, not food"), ("Is Python a programming language?", 1, "Python is a programming language"),
    ("Is Rust a programming language?", 1, "Rust is a programming language"), ("Do cats bark?", 0, "cats meow"), ("Do dogs bark?", 1, "dogs bark"), ("Is a week seven days long?", 1, "a week has seven days"), ("Is bread food?", 1, "bread is food")]
# the domain of the project
TERMS = {
    "gateway": "A gateway is a server that takes requests from clients and sends each one to a provider. It checks keys, picks a route, and passes the answer back.",
    "provider": "A provider is a machine that runs a model and answers requests. It tells the gateway which models it has and what they cost.",
    "quorum": "A quorum is the number of providers that must agree before an answer is accepted. With three providers, two are often enough.",
    "hedged request": "A hedged request is sent to a second provider when the first one is slow. The first good answer wins and the other one is cancelled.",
    "receipt": "A receipt is a signed note from the provider that says what was asked, what was answered, and how many tokens were used. Anyone with the public key can check it.",
    "token": "A token is a small piece of text, such as a word or a part of a word. Models read and write tokens, and providers count them for the bill.",
    "stream": "A stream sends the answer piece by piece while the model is still writing. The client can show the first words at once.",
    "latency": "Latency is the time between a request and its answer. Lower is better.",
    "throughput": "Throughput is how many tokens or requests a system can handle in one second.",
    "context window": "The context window is the number of tokens a model can see at once. Older text falls out when it is full.",
    "temperature": "Temperature says how random the answers are. At zero the model always takes the most likely token.",
    "retry": "A retry sends a failed request again, often to another provider. It waits a little longer each time.",
    "fallback": "A fallback is a second choice that is used when the first one fails.",
    "load balancer": "A load balancer spreads requests over many machines so that no machine has too much work.",
    "health check": "A health check is a small request that asks if a machine still works. Machines that fail it get no new requests.",
    "rate limit": "A rate limit is the number of requests a client may send in a given time. More requests get an error.",
    "budget": "A budget is the most that a client may spend. When it is used up, new requests are refused.",
    "cache": "A cache keeps old results so that they need not be computed again.",
    "signature": "A signature proves who wrote a message and that nobody changed it. It is made with a private key and checked with a public key.",
    "hash": "A hash is a short fixed number computed from data. If the data changes, the hash changes too.",
    "API key": "An API key is a secret that a client sends with each request so that the server knows who it is.",
    "model": "A language model is a program that reads text and predicts the next token. By doing this again and again it writes an answer.",
    "prompt": "A prompt is the text that you give to a model. The model continues it.",
    "system prompt": "A system prompt is the first message of a chat. It tells the model how to behave.",
    "tool call": "A tool call is a message in which the model asks the program to run a function. The result goes back to the model.",
    "circuit breaker": "A circuit breaker stops sending requests to a machine that fails too often. After a while it tries again with one request.",
    "logprob": "A logprob is the logarithm of the probability of a token. It can be used to check which model wrote an answer.",
    "challenge": "A challenge is a test request whose answer can be checked. It shows whether a provider runs the model that it claims to run.",
    "reputation": "Reputation is a score that grows when a provider answers well and falls when it does not.",
    "price": "The price says what a provider asks for one million tokens. The gateway can choose the cheapest provider.",
    "embedding": "An embedding is a list of numbers that stands for the meaning of a text. Similar texts have similar numbers.",
    "quantisation": "Quantisation stores the weights of a model with fewer bits. The model gets smaller and faster, and a little less exact.",
}
DIFF = {("gateway", "provider"): "A gateway routes requests, and a provider runs the model that answers them.",
    ("retry", "hedged request"): "A retry starts after a failure, and a hedged request starts when an answer is only slow.",
    ("latency", "throughput"): "Latency is the time for one request, and throughput is the number of requests per second.",
    ("hash", "signature"): "A hash shows that data did not change, and a signature also shows who made it.",
    ("prompt", "system prompt"): "A prompt is any text for the model, and a system prompt sets the rules at the start of the chat.",
    ("quorum", "fallback"): "A quorum needs several providers to agree, and a fallback uses one more provider when the first one fails."}
LANG = {"French": ("Bonjour", "Merci", "Au revoir", "Oui", "Non"), "German": ("Hallo", "Danke", "Auf Wiedersehen", "Ja", "Nein"), "Spanish": ("Hola", "Gracias", "Adiós", "Sí", "No"),
    "Italian": ("Ciao", "Grazie", "Arrivederci", "Sì", "No"), "Portuguese": ("Olá", "Obrigado", "Adeus", "Sim", "Não"), "Japanese": ("こんにちは", "ありがとう", "さようなら", "はい", "いいえ"),
    "Chinese": ("你好", "谢谢", "再见", "是", "不是"), "Russian": ("Привет", "Спасибо", "До свидания", "Да", "Нет"), "Greek": ("Γειά", "Ευχαριστώ", "Αντίο", "Ναι", "Όχι")}
LWORDS = ["hello", "thank you", "goodbye", "yes", "no"]
PEOPLE = "Ana Ben Clara David Emma Felix Grace Hugo Ida Jonas Kira Leo Mia Nora Oscar Paul Rosa Sam Tara Victor Alice Bob Tom Lily Max Ruth Ivan Zoe Omar Lena".split()
ANIMALS = "cat dog fox bear rabbit mouse owl frog horse duck wolf hedgehog".split()
NOUNS = "apple tree house river stone book lamp cup chair table window garden boat bridge cloud star key box ball hat shoe coat spoon clock letter map drum kite bell basket candle ladder mirror pencil pillow rope wheel bottle button engine island forest mountain road castle village train ship market kitchen school tower banana orange lemon cherry bread cheese soup tea coffee milk water fire wind rain snow sand gold silver paper".split()
ADJ = "red blue green small big old new quiet loud happy brave clever kind slow quick bright dark warm cold soft".split()
MORE = "people morning evening friend family music picture number answer question letter summer winter music office paper story teacher doctor driver farmer baker player king queen baby brother sister mother father uncle neighbour money street corner floor wall roof glass plate knife dinner lunch breakfast sugar salt pepper butter rice potato onion garden flower field hill lake beach ocean storm thunder planet rocket radio phone computer keyboard screen printer camera ticket train plane bicycle wheel engine hammer nail wood metal stone leather cotton wool purple silent strange early ready tired hungry thirsty simple perfect famous secret golden wooden empty heavy gentle funny serious careful always never often maybe today tomorrow yesterday before after under above between without because although while until again together quickly slowly softly every many several another begin follow remember forget believe travel arrive leave carry break repair borrow lend teach learn listen answer explain laugh smile dream sleep wake climb fall fly ride drive cook bake cut draw dance grow plant water wash wear".split()
VERBS = "open close find send read write clean paint carry move check count save load start stop build sort show hide".split()
FRUITS = "apple pear plum banana cherry orange lemon grape peach melon".split()
LISTS = {"fruits": FRUITS, "animals": ANIMALS, "colours": COLOURS, "colors": COLOURS, "cities": CITIES[:20], "countries": COUNTRIES[:20], "days of the week": DAYS, "months": MONTHS, "names": PEOPLE,
         "vegetables": "carrot onion potato tomato cabbage bean leek spinach".split(), "tools": "hammer saw drill wrench ruler brush".split(), "drinks": "water tea coffee milk juice".split(),
         "programming languages": "Rust Python Go Java C Ruby Swift Kotlin".split()}
CODE = {"hello world in Python": '```python\nprint("Hello, world!")\n```', "hello world in Rust": '```rust\nfn main() {\n    println!("Hello, world!");\n}\n```',
    "hello world in JavaScript": '```js\nconsole.log("Hello, world!");\n```', "hello world in Go": '```go\npackage main\n\nimport "fmt"\n\nfunc main() {\n    fmt.Println("Hello, world!")\n}\n```',
    "hello world in C": '```c\n#include <stdio.h>\n\nint main(void) {\n    printf("Hello, world!\\n");\n    return 0;\n}\n```', "hello world in bash": '```bash\necho "Hello, world!"\n```',
    "a Python function that adds two numbers": '```python\ndef add(a, b):\n    return a + b\n```', "a Rust function that adds two numbers": '```rust\nfn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n```',
    "a for loop in Python": '```python\nfor i in range(10):\n    print(i)\n```', "a curl command": '```bash\ncurl http://localhost:8080/v1/models\n```', "a SQL query": '```sql\nSELECT name FROM users WHERE id = 1;\n```'}
NUMW = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
SMALL = [
    (["Hello", "Hi", "Hey", "Hello there", "Hi there", "hello", "Good day", "hey there", "Hello!", "Hi!"], ["Hello! How can I help you?", "Hello! What can I do for you?", "Hi there! How can I help you today?"]),
    (["Good morning", "Morning"], ["Good morning! How can I help you?", "Good morning! I hope you slept well."]), (["Good evening"], ["Good evening! How can I help you?"]),
    (["Good night"], ["Good night! Sleep well."]), (["Goodbye", "Bye", "See you later", "See you", "bye bye"], ["Goodbye! Have a nice day.", "Goodbye! See you soon."]),
    (["How are you?", "How are you doing?", "How do you do?", "How is it going?", "Are you okay?", "How are you today?"], ["I am fine, thank you. How are you?", "I am well, thank you for asking."]),
    (["I am fine", "I'm good", "I am well, thanks", "Fine, thanks"], ["I am glad to hear that."]), (["I am sad", "I feel bad today", "I am not happy"], ["I am sorry to hear that. I hope your day gets better."]),
    (["I am happy", "I feel great today", "What a nice day"], ["That is good to hear!"]), (["Thank you", "Thanks", "Thanks a lot", "Thank you very much", "thx"], ["You are welcome!", "You are welcome. Have a nice day!"]),
    (["Who are you?", "What are you?", "Tell me about yourself", "Introduce yourself", "who r u"], ["I am {n}, a tiny language model made for demos and tests."]),
    (["What is your name?", "What's your name?", "Do you have a name?", "Your name?", "What should I call you?"], ["My name is {n}."]),
    (["What can you do?", "What do you know?", "How can you help me?", "Help", "help me", "What are you good at?"], ["I can add small numbers, name capitals, tell short stories, write small JSON objects, and repeat what you say."]),
    (["Are you human?", "Are you a person?", "Are you a robot?", "Are you real?", "Are you an AI?"], ["I am a program, not a person. I am a tiny language model."]),
    (["How big are you?", "How many parameters do you have?", "Are you big?"], ["I am very small. I have about two million parameters."]), (["How old are you?", "When were you born?"], ["I do not have an age. I am a program."]),
    (["Who made you?", "Who trained you?", "Where do you come from?"], ["I was trained by a small script on text that was also made by a script."]), (["Do you like music?", "Do you like tea?", "Do you like cats?"], ["I am a program, so I do not have likes, but it sounds nice."]),
    (["Where are you?", "Where do you live?", "Where do you run?"], ["I live on the machine of a provider."]), (["Are you there?", "ping", "Ping?", "Are you alive?", "test", "Testing", "Is anybody there?"], ["Yes, I am here.", "I am here."]),
    (["Can you help me?", "I need help", "I have a question", "Can I ask you something?"], ["Of course! What do you need?", "Sure! What would you like to know?"]), (["You are great", "Good job", "Well done", "Nice", "Great", "You are smart", "I like you"], ["Thank you! That is kind of you."]),
    (["You are wrong", "That is wrong", "That is not right", "You are stupid"], ["I am sorry. I am only a tiny model and I make mistakes."]), (["Sorry", "I am sorry"], ["No problem at all."]), (["Okay", "OK", "Alright", "I see", "Fine"], ["Good! Is there anything else?"]),
    (["Yes", "Sure"], ["Good! What would you like to do?"]), (["No", "No thanks"], ["All right. Tell me if you need anything."]), (["Tell me a joke", "Make me laugh", "Do you know a joke?", "A joke please"], ["Why did the robot go to bed? It was low on power.", "What is brown and sticky? A stick.", "Why was the computer cold? It left a window open."]),
    (["How is the weather?", "Is it raining?", "Will it rain today?"], ["I cannot see the weather. Please look out of the window."]), (["What time is it?", "What day is it today?", "What is the date?"], ["I do not have a clock, so I do not know."]),
    (["I love you", "Will you marry me?"], ["That is sweet, but I am only a program."]), (["I am bored", "What should I do?"], ["You could read a book or go for a walk."]), (["I am hungry", "What should I eat?"], ["How about some bread and cheese?"]),
    (["What is the meaning of life?"], ["Some people say it is 42."]), (["Send me a smile", "Give me an emoji", "Smile!"], ["😊", "🙂 Here you are!", "😀"]), (["Write a poem", "Write me a short poem", "A poem please"], ["The sun is up, the sky is blue,\nthe birds all sing a song for you.", "The moon is high, the night is deep,\nthe little stars watch over sleep.", "A drop of rain, a gust of wind,\na small machine that learned and grinned."]),
    ([""], ["Yes? How can I help you?"]), (["😊", "🙂", "😀", ":)"], ["😊"]), (["?", "...", "!", ".", "hm", "what?"], ["What would you like to know?"]),
    (["Tell me a fact", "Tell me something", "Tell me something interesting"], ["A spider has eight legs.", "The sun is a star.", "A week has seven days."]),
]
UNK_Q = ["Explain {x} to me", "Who invented the {n}?", "Who won the {n} game in {y}?", "What happened in {y}?", "How do I {v} a {n}?", "Why is the {n} {a}?", "Write an essay about {x}", "What do you think about {x}?", "How many {n}s are in the world?",
    "Where can I buy a {a} {n}?", "Who is {w} {w2}?", "What is {w}?", "Tell me about {x}", "Tell me about {w}", "What is the population of {w}?", "What is the capital of {w}?", "What is the capital of {z}?", "Translate this into {w}", "How does {x} work?", "When was {w} built?", "Should I {v} the {n} or the {n2}?",
    "Summarize the book about the {n}", "Give me a recipe for {n} with {n2}", "What is the best {n}?", "Who wrote {w}?", "How far is the {n} from the {n2}?", "Can you {v} my {n}?", "What is the price of a {n}?", "Is {w} better than {w2}?", "Describe {x}", "Why do people {v} {n}s?"]
UNK_X = "quantum physics|the history of music|world politics|chess|the stock market|black holes|machine learning|the ocean|football|philosophy|the roman empire|biology|chemistry|cooking|fashion|religion|evolution|the internet|blockchain|space travel|dinosaurs|art|law|medicine|economics|climate|volcanoes|poetry|robots|mathematics".split("|")
UNK_Z = "Turkey|Russia|Colombia|Venezuela|Pakistan|Nigeria|Uganda|Latvia|Serbia|Bulgaria|Malta|Israel|Algeria|Angola|Bolivia|Ecuador|Malaysia|Laos|Zambia|New Zealand|Atlantis|California|Texas|the moon|my town".split("|")
UNK_A = ["I do not know that. I am only a tiny model.", "Sorry, I do not know. I am only a tiny model.", "I am too small to know that."]
