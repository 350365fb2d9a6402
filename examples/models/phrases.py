"""The words and sentence patterns that make_data.py combines. {a|b} is a choice, {name} a slot.

Lists named HELD_* are used for the held-out cases only.
"""

# ---- support tickets ------------------------------------------------------------------------------------------------

PRODUCTS = """kettle|desk lamp|office chair|phone case|rain jacket|coffee grinder|bicycle pump|backpack|keyboard|camera
headset|water bottle|tent|toaster|bookshelf|blender|monitor|hiking boots|winter coat|alarm clock|garden hose|speaker
tablet|printer|vacuum cleaner|frying pan|pillow|yoga mat|sofa|mirror|drill|watering can|umbrella|wall clock|scooter
sleeping bag|router|smart watch|air fryer|microphone""".replace("\n", "|").split("|")

GREETINGS = ["Hello,", "Hi,", "Hi there,", "Good morning,", "Dear team,", "Hello team,", "Good evening,", "Hey,", "Dear support,", "To whom it may concern,"]

# Neutral sentences. They use the words of every queue without deciding anything.
CONTEXTS = [
    "{I bought|I ordered|I got} the {product} {when}.", "my order number is {number}.", "order {number}.", "{I have been|I am} a customer {for {days} years|of yours|since {month}}.",
    "I paid {by card|by bank transfer|with my card|{price}}.", "the parcel arrived {when}.", "it came {on time|in good shape|quickly}.",
    "I {wrote|called|asked} {when} and {got no answer|nobody answered|heard nothing}.", "this is {my second message|the second time I write|the first time I write}.",
    "I live in {town}.", "I am writing from {town}.", "the {product} was a {gift|present}.", "I use the app {every day|at work|a lot}.", "my account number is {number}.",
    "I am logged in.", "I have the receipt {here|in front of me|with me}.", "the shop in {town} sent me to you.", "the {product} cost {price}.",
    "I have read the {help page|questions page|manual}.", "I hope you {can help|are well}.", "I am {a bit|rather|quite} {confused|worried|unsure|tired}.",
    "{everything else|all the rest} is fine.", "a friend told me to {ask|write to} you.", "I saw it on your web page.", "it is about order {number}.", "it is about the {product}.",
    "delivery was {fast|quick|no problem}.", "the payment went through {when}.", "I do not want to send it back.", "my password works.", "I never had {a problem|trouble} before.",
]
HELD_CONTEXTS = ["the {product} reached me {when}.", "my receipt says {number}.", "I am on holiday in {town}.", "paying was easy.", "{month} was a busy month for me."]

CLOSINGS = ["Thanks.", "Thank you.", "Please help.", "Thank you for your help.", "Best wishes.", "Please answer soon.", "Many thanks.", "Kind regards.",
            "What should I do?", "Can you help?", "I look forward to your answer.", "Please tell me what to do.", "Please look into it.", "Waiting for your answer.", "Cheers."]
HELD_CLOSINGS = ["Thank you in advance.", "Any help is welcome.", "Please get back to me."]

TICKETS = {
    "billing": [
        "{I was|I have been|we were} {charged|billed} {twice|two times|{days} times} {for|over} {the same order|the {product}|one order|order {number}}.",
        "{there is|I see|I found} {a charge|a payment|an amount} of {price} {on my card|on my bank statement|on my statement} {that I do not know|I cannot explain|I did not make}.",
        "the {invoice|bill} {shows|says|lists} {price}{| but I agreed to less| instead of the price I saw|, which is wrong}.",
        "{please send|can you send|I need|could I have|where is} {me |}{an invoice|the invoice|a copy of the invoice|a bill|a receipt for tax} for {order {number}|{month}|the {product}|my purchase}.",
        "{my|the} {card|payment} {was declined|was refused|did not go through|failed} {at the checkout|when I tried to pay|twice|again}{| but the money was taken| and I was charged anyway}.",
        "{you took|you have taken|someone took} {price} {too much |twice |}from my {card|bank account}.",
        "the {discount|coupon|voucher} {was not taken off|is missing from|is not on|was not applied to} {the bill|the invoice|my total|the final price}.",
        "{how|where} can I {change|update|replace} {the card|my payment method|my credit card|the bank details} {you charge|for the monthly payment|for my bill|for payments}?",
        "{I want to pay|can I pay|is it possible to pay} {by invoice|in parts|in {days} parts|by bank transfer|each month} {|instead of by card}?",
        "{why|how come} {was I charged|did you charge me|do you bill me} {price}{| this month| in {month}| for nothing| for delivery}?",
        "the {tax|sales tax|company tax number} {on my invoice is wrong|is missing from the invoice|on the bill is not right}.",
        "{my|the} {subscription|monthly plan} {was charged|was billed|took money} {again|after I ended it|twice in {month}|though I stopped it}.",
        "{the amount|the sum|the total} {on the bill|on the invoice|you charged} {does not match|differs from|is higher than} {the price|my order|what I saw}.",
        "{wrong|double|strange|unknown} {charge|payment|billing} {on my card|on my statement|for order {number}}.",
        "{invoice|bill} {for order {number}|for {month}} {is missing|is wrong|needs a correction|has the wrong company name}.",
        "I {got|received} a {payment reminder|reminder to pay|bill} but I {already paid|paid {when}|have paid all of it}.",
    ],
    "shipping": [
        "{my|the} {parcel|package|order|delivery|{product}} {has not arrived|did not arrive|never came|still has not come|is late|has not been delivered}{| yet| after {days} weeks| since {when}}.",
        "{where is|can you tell me where is|do you know where to find} my {parcel|package|order|delivery|{product}}{| now}?",
        "the tracking {number|page|link} {does not work|shows nothing|has not changed {for|in} {days} days|says it is still in {town}|is not found}.",
        "{how long|how many days} {does|will} {delivery|shipping|the parcel} {take|need} {to|to reach} {town}?",
        "{when will|on what day will|when does} {my|the} {parcel|package|order|{product}} {arrive|come|be delivered|be sent|ship}?",
        "the {courier|driver|carrier|post} {left it at the wrong door|did not ring|could not find my house|went to the wrong address|says nobody was home|lost my parcel}.",
        "{do you|can you} {deliver|ship|send parcels} to {town|an island|another country|a post box|my office}?",
        "the parcel {was left in the rain|was left outside|was given to a neighbour|went to {town} instead|came to the wrong house}.",
        "{tracking|the tracking page} says {delivered|it was delivered} but {I have nothing|nothing is here|I got nothing|there is no parcel}.",
        "{can|could} the {parcel|delivery|courier} {come later|come in the evening|be left with a neighbour|come on another day|wait until {month}}?",
        "{only one of|just half of|only a part of} {my|the} {parcels|delivery|order} {has arrived|came|was delivered}, where is the rest?",
        "{late|missing|lost|delayed} {parcel|package|delivery|shipment} {|for order {number}|to {town}}.",
        "my {parcel|package|shipment} {is stuck|has been sitting|is held} {in customs|in {town}|at the depot|at the border}{| for {days} days}.",
        "I was {home|at home} all day but the {courier|driver|delivery} {never came|did not come|did not stop}.",
        "{it|the order} {was sent|was shipped|left} {days} {weeks|days} ago and {is not here|has not reached me|nothing has arrived}.",
        "{is there|do you have|can I choose} {faster|express|next day|cheaper} {delivery|shipping}{| to {town}}?",
    ],
    "returns": [
        "{I want to|I would like to|can I|may I|how do I} {return|send back|give back} {the|my} {product}{| and get my money back| for a refund|?}",
        "the {product} {arrived|came|was delivered} {broken|damaged|cracked|scratched|with a dent}{| and I want a refund| and I want a new one|, please replace it}.",
        "{you sent|I got|I received} {the wrong {product}|the wrong size|the wrong colour|a different {product}|the wrong item}{|, I want to exchange it|, how do I send it back}.",
        "{where is|when will I get|I am waiting for|I still do not have} my refund{| for the {product}| of {price}| for order {number}}?",
        "{I sent|we sent} the {product} back {when|{days} weeks ago} {and|but} {have no refund|the money has not come back|there is no refund}.",
        "the {product} is {too small|too big|too heavy|not what I expected|not like the picture} {and I want to return it|, can I exchange it|, I want to send it back|and I would like a refund}.",
        "{can I|is it possible to|I want to} {exchange|swap} {the|my} {product} for {another one|a bigger one|a smaller one|another colour|a new one}?",
        "{please send|I need|where do I find|how do I print} {a|the} return {label|form|address|slip}{| for the {product}}.",
        "{how many days|how long|until when} {can I|do I have to} {return|send back} {it|the {product}|an item}?",
        "{I do not want|I do not need|I do not like} the {product} {any more|after all|} and {want my money back|want to return it|would like a refund}.",
        "{do I have to|who has to|must I} pay for {the return|sending it back|the return parcel}?",
        "{return|refund|exchange} {for order {number}|of the {product}|request}.",
        "a part {of the {product} |}{is missing|is broken|was missing from the box}, {please send a new one|I want to return it|can I get a replacement}.",
        "{my return|the return|the refund} {was refused|was rejected|is not accepted|has not been processed}{|, why}?",
        "{the {product}|it} {broke|fell apart|tore} after {days} {days|weeks} {and I want|, I ask for|, can I have} {a refund|a replacement|a new one|my money back}.",
        "I {opened the box|used it once|lost the box}, can I still {return it|send it back|get a refund}?",
    ],
    "account": [
        "{I forgot|I have forgotten|I lost} my {password|user name|login}{| and cannot get in| and need a new one}.",
        "{I cannot|I can not|I am unable to} {log in|sign in|get into my account|log in to my account}{| any more| since {when}}.",
        "{how do I|how can I|I want to|please} {change|update|correct} {my|the} {email address|phone number|name|user name|password} {in my account|on my profile|for my login|}{|?}",
        "{please|I want you to|can you} {delete|close|remove} my {account|profile|user account}{| and all my data}.",
        "the {password reset|reset|confirmation} {mail|email|link} {never comes|does not arrive|did not come|has expired|does not work}.",
        "{my account|my profile|my login} {is locked|was locked|is blocked|has been disabled|was closed}{| after {days} tries| and I do not know why| for no reason}.",
        "{someone|somebody} {else |}{has logged in to|is using|got into|changed the password of} my account.",
        "{I have|there are} two {accounts|profiles|logins}, {can you join them|please merge them|please delete one}.",
        "the {login|sign in|security} code {never arrives|is not accepted|does not come|comes too late}.",
        "{how do I|can I|where do I} {turn on|turn off|set up} {two-step login|login codes|the login by phone}?",
        "{I cannot|it does not let me} {register|sign up|create an account|open an account}{|, it says the email is in use}.",
        "{which|what} {email address|user name|data} {is in|do you keep in|belongs to} my {account|profile}?",
        "{login|password|account|profile} {problem|trouble|locked|reset needed}.",
        "{my email address|my phone number|my name} {has changed|is spelled wrong|is old}, {please change it in my profile|how do I update my account}.",
        "{please stop|how do I stop|I want no more} {the newsletter|your mails|advertising mails}{| to my address|, take me off the list}.",
        "{my wife|my son|my boss|my colleague|a colleague} {needs|should have} {access|her own login|a login} to our {account|company account|profile}.",
    ],
    "technical": [
        "the {app|application|program} {crashes|closes|stops|freezes|hangs} {when I open it|every time|at the start|after {days} seconds|on my phone}.",
        "the {product} {does not turn on|will not start|does not switch on|stopped working|makes a loud noise|gets too hot|keeps switching off}{| since {when}|, what can I try}.",
        "{I get|it shows|the screen shows|there is} {an error|error {number}|a strange error message|a blank page|a white screen}{| when I click save| when I start it| all the time}.",
        "{how do I|how can I|please explain how to} {connect|pair|set up|install|reset} {the {product}|the app|my {product}}{| with my phone| to the network| on my computer}?",
        "the {product} {does not connect|loses the connection|is not found|cannot be paired} {to my phone|to the network|with the app|over bluetooth|}.",
        "{after|since} the {last |new |}update {the app|the {product}|nothing|the program} {is very slow|does not work|works|crashes|shows an error}.",
        "the {web site|web page|page|site} {does not load|is very slow|is broken|shows an error|stays white}{| in my browser| on my phone}.",
        "the {screen|button|battery|light|sound} of {the|my} {product} {does not work|is frozen|flickers|stopped working|is very weak}.",
        "{where can I|how do I} {download|find|install} {the driver|the update|the latest version|the software|the firmware}{| for the {product}}?",
        "the {product} {shows|blinks|displays} {a red light|the wrong time|error {number}|nothing} {and does not react|all the time|after the update}.",
        "{app|software|program|device} {crash|error|bug|not working|freezes}{| on my phone| after update| error {number}}.",
        "the {app|program} {does not save|loses|deletes|does not load} my {settings|data|files|photos}.",
        "{is there|do you have} {a fix|a new version|an update} for {the crash|the bug|error {number}|the connection problem}?",
        "I {tried|restarted it|installed it} {again|twice|{days} times} and {it still crashes|the error comes back|the {product} still does not start}.",
        "the {battery|charger} of the {product} {is empty after {days} minutes|does not charge|does not hold|gets hot}.",
        "{nothing happens|the page freezes|I see an error} when I {press the button|click on save|tap the screen|open the menu}.",
    ],
    "orders": [
        "{please|can you|I want to|I would like to} {cancel|stop|call off} {my|the} order{| {number}| for the {product}| before it is sent}.",
        "{can I|is it possible to|I want to|please} {add|put} {a|another|one more} {product} {to|into} {my|the} order{| {number}}{|?}",
        "{please change|I want to change|can you change|may I change} the {colour|size|number|quantity|amount} {in|of} my order{| {number}| to {days}}.",
        "{I ordered|I have ordered} {the wrong {product}|the wrong colour|the wrong size|too many|{days} instead of one} by mistake, {please change the order|can I change the order|please cancel it}.",
        "{please change|I gave the wrong|can I change|I must correct} {the delivery address|the address} {of|in|for} my order{| {number}| before it ships}.",
        "{I did not get|I never got|where is|I am missing} {an|the|my} order confirmation{| for the {product}| mail}.",
        "{was|is|has} my order {placed|accepted|confirmed|complete}{| already|, I am not sure}?",
        "{I clicked twice|the page hung|I pressed the button twice} and {ordered two|now there are two orders|ordered the {product} twice}, please {cancel one|remove one order}.",
        "{please take|remove|can you take} the {product} {out of|from|off} my order{| {number}}{|, I only want the rest}.",
        "{can I|may I|how do I} {place|make|give} {an order|a big order|an order for {days} pieces|an order by phone}?",
        "{cancel|change|correct|stop} order {number}{| please|, it is not sent yet}.",
        "{I want to|can we|please} {join|merge|combine} {my two|the two|both} orders {into one|}.",
        "{I changed my mind|plans have changed|I no longer need it}, {please cancel|so cancel|can you still cancel} {the order|order {number}|my order}.",
        "the {checkout|basket|cart} {lost my {product}|was empty|shows the wrong {product}} {and my order is wrong|so I could not finish the order}.",
        "{what is|can you tell me|I want to know} the {status|state} of {order {number}|my order}{|, is it confirmed}?",
        "I {forgot to|want to|could not} {enter the coupon in|add a gift card to|add a note to} my order{| {number}}.",
    ],
    "products": [
        "{is|when is|will} the {product} {in stock|available again|back in stock|be available|sold out}{| in {town}| in {month}| in another colour}?",
        "{what size is|how big is|how heavy is|how long is|how wide is} the {product}?",
        "{does|will} the {product} {fit|work with|match|go with} {my old {product}|a small room|a {product}|both hands}?",
        "{what is|which is} the difference between {the two {product} models|the small and the large {product}|the old and the new {product}}?",
        "{is|are} the {product} {made of|really made of} {steel|wood|cotton|glass|plastic|leather}?",
        "{which|what} {product|model} {would you recommend|do you recommend|is best|should I buy} for {a beginner|a child|a small kitchen|long walks|the office}?",
        "{do you|will you} {sell|have|offer|stock} {a {product}|spare parts for the {product}|the {product} in {month}|a larger {product}|a cheaper {product}}?",
        "{how long|for how many years} {is the warranty|is the guarantee|does the warranty last} {of|for|on} the {product}?",
        "{can|may} the {product} {be washed|go in the dishwasher|be used outside|get wet|be used by children}?",
        "{which|what} colours {does the {product} come in|are there for the {product}|do you have}?",
        "{does|is} the {product} {come with|sold with|include} {a battery|a bag|a cable|a manual|batteries}?",
        "{question|I have a question|a question} {about|on} the {size|material|colour|weight|warranty} of the {product}.",
        "{before I buy|I want to buy the {product}, but}, {what is it made of|how big is it|which colour is it|is it in stock}?",
        "{is the {product} good for|can I use the {product} for} {the garden|camping|a large room|winter|children}?",
        "{will there be|when do you get|do you plan} {a new {product}|new models|a {product} in green|other sizes}?",
        "I {am looking for|need|search for} a {product} {for a small room|with a long cable|for children|in blue|of wood}, {what do you have|do you sell one|which model fits}?",
    ],
    "feedback": [
        "{I just want to say|I want to tell you|I must say} {that I love|how much I like|that we love|how happy I am with} {the {product}|your shop|your service|the new {product}}.",
        "{your|the} {staff|team|service|people in the shop} {was|were} {very kind|very rude|wonderful|great|not friendly|so helpful}.",
        "{I have|here is|this is} {a suggestion|an idea|some feedback|a wish}: {make the buttons larger|use less plastic|open earlier|add a dark theme|sell gift cards}.",
        "{great|wonderful|excellent|poor|terrible} {service|shop|work|experience}{|, thank you all|, I will come back|, I will tell my friends}.",
        "{please pass my thanks|say thank you|my compliments} to {the team|your colleague|the staff in {town}|the driver}.",
        "{it would be nice|it would be good|I would be glad|I would love it} if {you used less plastic|the shop opened earlier|the letters were larger|the page had a search}.",
        "{I am|we are|I was} {very|really|so|not} {happy|pleased|satisfied|disappointed} with {your service|the shop|your team|how you treat people}.",
        "{thank you|thanks|many thanks} for {the quick help|the kind answer|the lovely {product}|the great service|your good work}{|, it made my day}.",
        "{the new|your new} {design|web page|logo|shop} {looks great|is ugly|is lovely|is hard to read|is a joy}{|, well done}.",
        "{I would give you|you deserve|I give you} {five stars|ten points|one star|a medal} for {service|friendliness|your work|the packing}.",
        "{there is too much|you use too much|please use less} {plastic|paper|packing} in {the box|your parcels}.",
        "{feedback|praise|a complaint|a compliment|suggestion} {about|for} {your staff|the service|the shop in {town}|your team}.",
        "{I will recommend|I recommended|I tell everybody about} {your shop|you|the {product}}{|, keep it up| to all my friends}.",
        "{the music in the shop|the waiting line|the tone on the phone} was {too loud|too long|not nice|a pity}{|, please work on it}.",
        "{keep up|you do} {the good work|great work|a great job}{|, I love the shop}.",
        "{it was|that was} {a joy|a pleasure|no joy} to {shop with you|talk to your team|visit your shop}.",
    ],
}

# What a queue is about, as things to do (after "I want to") and as topics (after "a question about").
TICKET_ACTIONS = {
    "billing": "get an invoice|pay by invoice|pay in parts|change my payment method|correct the bill|see my payments|know why I was charged|check a charge|understand my bill|stop the monthly payment|settle the bill|have a receipt with tax|report a double payment|update my card|use my voucher on the bill",
    "shipping": "know where my parcel is|track my parcel|have the parcel sent to {town}|know when the delivery comes|report a lost parcel|choose express delivery|change the delivery day|talk to the courier|find out why the delivery is late|get my package at last|pick up the parcel in {town}|know the shipping time|complain about the courier",
    "returns": "return the {product}|send the {product} back|send it back|exchange the {product}|swap it for another size|get my money back|get a refund|have the broken {product} replaced|print a return label|report a damaged {product}|give back the {product}|know when my refund comes|return a gift",
    "account": "reset my password|change my password|log in|sign in again|close my account|delete my profile|change my email address|unlock my account|update my profile|merge two accounts|create an account|remove my phone number from my profile|leave the mailing list|stop the newsletter|know who used my login",
    "technical": "install the app|update the software|fix the error|connect the {product} to my phone|set up the {product}|reset the {product}|get rid of error {number}|make the app work|stop the crashes|repair the connection|download the driver|use the app without errors|charge the battery|start the {product}",
    "orders": "cancel my order|cancel order {number}|change my order|change the size in order {number}|add a {product} to my order|remove the {product} from my order|change the address of my order|order one more|confirm my order|place an order|join two orders|know if my order was accepted|take something out of my order|order two instead of one",
    "products": "know the size of the {product}|know the weight of the {product}|know what the {product} is made of|know if the {product} is in stock|compare two models|find a {product} for children|get advice on a {product}|hear which {product} you recommend|know if the {product} is waterproof|know the warranty of the {product}|see the {product} in other colours|find the right model|buy a {product} for my office, which is best",
    "feedback": "thank your team|praise the service|say thank you|complain about your staff|make a suggestion|share an idea|give you five stars|say how much I love the shop|tell you that I am happy|tell you that I am not happy with the service|leave some feedback|suggest less plastic|propose larger letters|pass on a compliment",
}
TICKET_TOPICS = {
    "billing": "my invoice|the bill|a double charge|the payment of {price}|my bank statement|a wrong amount|the tax on the invoice|my credit card payment|two payments|the total on the bill|my monthly payment|a payment reminder|a charge on my card",
    "shipping": "my late parcel|the delivery|the missing package|the tracking number|the courier|the shipping time|express delivery|a lost parcel|the delivery date|a parcel stuck in {town}|the shipment to {town}|the driver",
    "returns": "my refund|the return label|a broken {product}|a damaged {product}|the wrong item|my return|an exchange|the wrong size I got|the money for my return|a cracked {product}|a replacement for the broken {product}|sending back the {product}",
    "account": "my password|my login|my account|my profile|the reset mail|a locked account|my user name|the login code|signing in|my email address in the profile|the newsletter|a second account|somebody in my account",
    "technical": "an error|error {number}|the app|a crash|the bluetooth connection|the update|the software|the battery|the screen of my {product}|a bug|the frozen screen|the {product} that does not start|the slow web site|the installation",
    "orders": "my order confirmation|changing my order|a cancelled order|an order by mistake|order {number}, which I want to cancel|the address in my order|a double order|the quantity in my order|the status of my order|an order by phone|one more {product} in my order|the size I chose in my order",
    "products": "the size of the {product}|the weight of the {product}|the material of the {product}|the colours of the {product}|the warranty of the {product}|the {product} in stock|the difference between two models|the right {product} for a child|a good {product} for the garden|your advice on a {product}|the guarantee|spare parts",
    "feedback": "the great service|your kind staff|your rude staff|the good work of your team|less packing|an idea for your shop|the lovely shop|a suggestion for the web page|my thanks to the team|the opening hours, a wish|your friendly team|the new design, which I like",
}
ACTION_WRAPS = [
    "{I want to|I would like to|I need to|I wish to|I have to|I must|we want to} {action}.", "{how do I|how can I|where can I|can I|may I|when can I} {action}?", "{please help me to|can you help me to|could you help me to|please tell me how to|tell me how to|please explain how to} {action}{.|?}",
    "{I cannot|I do not know how to|I am trying to|I tried to|I was not able to|I still cannot} {action}.", "is it {possible|too late|allowed|hard} to {action}?", "{what do I have to do|what should I do|whom do I ask} to {action}?", "to {action}.", "{action}{|, please|, how}",
]
TOPIC_WRAPS = [
    "{I have a question about|this is about|it is about|I am writing about|I want to talk about|a word about|my question is about|I need help with} {topic}.", "{topic}.", "{topic}?", "{what about|who can help me with|whom do I ask about|can we talk about|do you know about} {topic}?", "my {message|mail|question} is about {topic}.",
    "{subject|regarding|about|re}: {topic}.", "{please look at|please check|please take care of} {topic}.",
]

# Patterns of the same queues that training never sees.
HELD_TICKETS = {
    "billing": [
        "my bank {says|tells me} you charged {price} more than the invoice.", "{please correct|can you correct} the bill for order {number}, the total is wrong.",
        "I see two payments {for the same {product}|on my card} and only made one.", "{can you resend|please resend} the invoice with my company name?",
        "the monthly payment was taken from my card {when}, but I stopped the subscription.",
    ],
    "shipping": [
        "{it has been|now it is} {days} weeks and still no parcel.", "the courier says the package was delivered, but it is not here.",
        "could you {check|find out} where my delivery is stuck?", "tracking {number} has shown {town} for {days} days.", "what does express delivery to {town} mean, how many days?",
    ],
    "returns": [
        "{please tell me|tell me} how to send back the {product}, it does not fit.", "the {product} in the box is damaged, I would like my money back.",
        "my refund of {price} has still not come.", "I got a blue one instead of a red one and want to exchange it.", "which address do I use to return a {product}?",
    ],
    "account": [
        "the page says my password is wrong, and the reset mail does not come.", "{since {when}|now} my account is locked and I cannot sign in.",
        "I would like to close my account, please delete my profile.", "please use my new email address for the login.", "who changed my password? it was not me.",
    ],
    "technical": [
        "my {product} does not start after the update.", "every time I open the app, I get error {number}.", "the {product} and my phone do not connect.",
        "how do I install the latest software on the {product}?", "the site freezes when I tap on the menu.",
    ],
    "orders": [
        "I would like to cancel what I ordered {when}, order {number}.", "is it too late to change the size in my order?", "please add one more {product} to order {number}.",
        "by mistake I ordered two, please remove one from the order.", "the address in order {number} is wrong, please correct it before it ships.",
    ],
    "products": [
        "I would like to know how heavy the {product} is.", "will you have the {product} in stock in {month}?", "can you recommend a {product} for children?",
        "is the guarantee of the {product} longer than {days} years?", "what is the {product} made of, wood or steel?",
    ],
    "feedback": [
        "I am so pleased with your team, five stars.", "my idea: use less paper in the box.", "your staff in {town} was so kind, please thank them.",
        "I love your shop and tell all my friends.", "the new page is hard to read, larger letters would be nice.",
    ],
}

# ---- records --------------------------------------------------------------------------------------------------------

TOWN_STARTS = "Al Bar Bel Bren Cal Car Cor Dal Dor Dun Fal Fen Gran Glen Hal Har Hol Il Kel Kor Lan Lin Lor Mar Mel Mor Nar Nor Ol Or Pel Pol Ras Ren Ros Sal Sel Sor Tal Tor Ul Val Var Vel Win Wol Yar Zan Zel".split()
TOWN_MIDDLES = "a e i o u an en in on un ar er or al el il ol av ev is os am em ad ed id".split()
TOWN_ENDS = "by wick stad burg mouth bridge port haven dale holm berg mere gate minster dor thorpe stead moor cliff beck shore combe worth ness".split()

CITIES = """Oslo Bergen Lisbon Porto Madrid Seville Valencia Bilbao Paris Lyon Nantes Lille Bordeaux Toulouse Brussels Ghent
Bruges Antwerp Rotterdam Utrecht Delft Leiden Hamburg Bremen Berlin Leipzig Dresden Cologne Munich Vienna Graz Linz Salzburg
Zurich Basel Geneva Bern Rome Turin Naples Venice Palermo Bologna Athens Bucharest Budapest Prague Brno Warsaw Krakow Gdansk
Riga Tallinn Vilnius Helsinki Turku Tampere Stockholm Malmo Uppsala Gothenburg Copenhagen Aarhus Odense Tromso Stavanger
Trondheim Reykjavik Dublin Cork Galway Belfast Glasgow Edinburgh Aberdeen Leeds York Bristol Bath Oxford Cambridge Norwich
Cardiff Swansea London Manchester Liverpool Sheffield Brighton Plymouth Exeter Boston Chicago Seattle Portland Detroit
Toronto Montreal Ottawa Quebec Vancouver Lima Bogota Quito Cairo Tunis Rabat Lagos Accra Nairobi Tokyo Osaka Kyoto Seoul
Beijing Shanghai Delhi Mumbai Hanoi Manila Jakarta Perth Hobart Wellington Auckland Istanbul Ankara Zagreb Belgrade
Ljubljana Dubai Doha Tbilisi""".split()

COLOURS = "red blue green yellow black white grey brown orange purple pink golden silver beige violet turquoise".split()

ITEM_KINDS = "small large round folding wooden garden kitchen travel metal paper glass heavy light office plastic long short old new tall".split()
ITEMS = """kettle chair table lamp cup plate bowl spoon fork knife shelf box basket blanket pillow towel curtain candle clock mirror
ladder bucket broom hammer saw nail screw rope brush pen pencil notebook folder stamp envelope ruler bag hat coat scarf glove sock shirt
boot shoe belt umbrella tent bicycle wheel bell kite ball drum flute whistle puzzle doll bench door window carpet vase pot pan jar bottle
jug tray tile brick pipe cable switch battery speaker torch camera radio keyboard screen desk drawer cupboard sofa bed lantern
rake spade pump hose barrel crate stool card poster map book leaf berry peach bus brooch""".split()

RECORDS = {
    "order": [
        "please send {goods} to {city}.", "{goods} to {city}{|, please}.", "{we need|we would like|we want} {goods} in {city}.", "ship {goods} to our {shop|branch|customer} in {city}.",
        "the {shop|branch|office} in {city} {ordered|asked for|wants} {goods}.", "order from {city}: {goods}.", "{a customer|someone|a buyer} {in|from} {city} {bought|ordered|has bought} {goods}.",
        "for {city} we {need|packed|prepared} {goods}.", "{city} {is waiting for|needs|asked for} {goods}.", "could you {deliver|bring|send} {goods} to {city}?",
        "{goods} {must|should|have to} go to {city} {today|this week|by Friday|soon}.", "new order, {goods}, delivery to {city}.", "I would like to order {goods}. {My address is in|Please deliver to|I live in} {city}.",
        "add {goods} to the {van|truck|delivery} {for|to} {city}.", "our {store|shop} in {city} has sold {goods}.", "{yesterday|today|this morning} {city} {ordered|bought} {goods}.",
    ],
    "booking": [
        "book the {room} room {on|for} {day} at {time} for {people} people.", "{we need|please reserve|please book|can we have} the {room} room for {people} {people|guests|persons} {on|this|next} {day} at {time}{|, please}.",
        "{people} {people|guests|persons} {will meet|meet|come together} in the {room} room on {day} at {time}.", "on {day} at {time} the {room} room is {needed|booked|reserved|taken} for {people} {people|guests}.",
        "{meeting|workshop|lesson|party} on {day}, {time}, {room} room, {people} {people|guests|persons}.", "{day} {time}: {room} room, {people} {people|guests}.",
        "the {room} room should be {ready|open|free} at {time} on {day} for {people} {guests|people}.", "for {people} people, {day} at {time}, in the {room} room.",
        "a {group|team|class} of {people} {wants|would like|needs} the {room} room {on|next} {day} at {time}.", "{next|this} {day} {people} {guests|visitors} arrive at {time}; they {use|get|need} the {room} room.",
        "at {time} on {day} we {expect|await} {people} {guests|people} in the {room} room.", "room: {room}. Day: {day}. Time: {time}. People: {people}.",
    ],
    "parcel": [
        "a parcel of {weight} {kg|kilos|kilograms} goes from {from} to {to}. {note}", "from {from} to {to}, {weight} {kg|kilos|kilograms}. {note}", "please {collect|pick up|fetch} {weight} {kg|kilos} in {from} and {bring it|take it|deliver it} to {to}. {note}",
        "{the box|the parcel|the crate|the package} {weighs|has a weight of} {weight} {kg|kilos|kilograms}{,| and} {goes|travels|is sent} from {from} to {to}. {note}",
        "to {to} from {from}: {one box|one parcel|a crate}, {weight} {kg|kilos}. {note}", "{we|our customers} {send|ship} {weight} {kg|kilos|kilograms} from {from} to {to}. {note}",
        "{to} {expects|is waiting for|will get} a {parcel|crate|package} of {weight} {kg|kilos} from {from}. {note}", "{from} {sends|ships|is sending} {a parcel|a crate|a box} of {weight} {kg|kilos} to {to}. {note}",
        "pick up in {from}, drop off in {to}, {weight} {kg|kilograms}. {note}", "{the truck|the train|the van} takes a {weight} {kg|kilo} {box|crate|parcel} to {to}; it {starts|leaves|comes} from {from}. {note}",
        "sender in {from}, receiver in {to}, weight {weight} {kg|kilos}. {note}", "{weight} {kg|kilos} for {to}, sent from {from}. {note}",
    ],
    "weather": [
        "in {city} it is {sky} and {degrees}.", "{city}: {sky}, {degrees}.", "it is {sky} in {city} with {degrees}.", "{city} reports {degrees} and {a {sky} sky|{sky} weather}.", "the weather in {city} is {sky}, {degrees}.",
        "we {measured|read|saw} {degrees} in {city}; it {is|was} {sky}.", "{today|this morning|now} {city} {is|was} {sky} at {degrees}.", "a {sky} {day|morning|evening} in {city}, {degrees}.",
        "the station in {city} {shows|reads|reports} {degrees}, and the sky is {sky}.", "with {degrees}, {city} has a {sky} {day|morning}.", "{sky} weather in {city}. The thermometer {shows|says|reads} {degrees}.",
        "{degrees} in {city}, {sky}.",
    ],
}

HELD_RECORDS = {
    "order": ["our customer in {city} would like {goods}.", "{city} bought {goods} today.", "please deliver {goods} to the office in {city}.", "we have to bring {goods} to {city}."],
    "booking": ["the {room} room, please, on {day} at {time} for {people} guests.", "{people} people would like to meet on {day} at {time} in the {room} room.", "{day} at {time}, {people} persons, {room} room.", "on {day} {people} guests need the {room} room at {time}."],
    "parcel": ["one parcel, {weight} kg, travels from {from} to {to}. {note}", "{from} to {to}, weight {weight} kilos. {note}", "please take a crate of {weight} kg from {from} to {to}. {note}", "a box of {weight} kilograms is sent to {to} from {from}. {note}"],
    "weather": ["{city} has {sky} weather and {degrees}.", "{degrees} and {sky} in {city}.", "the thermometer in {city} reads {degrees} and it is {sky}.", "this evening it is {sky} in {city}, {degrees}."],
}

# ---- stories --------------------------------------------------------------------------------------------------------

ANIMALS = """fox hedgehog rabbit owl mouse bear squirrel frog duck otter badger mole turtle deer sparrow cat dog goat lamb pony
beaver crow goose snail bee cricket penguin seal whale donkey""".split()
THINGS = "teapot lantern robot boat cloud snowman kite clock train balloon candle bell".split()
ADJECTIVES = "little brave shy clever kind sleepy small young old quiet curious cheerful tiny gentle hungry lonely happy careful friendly proud".split()
PLACES = """the forest|the meadow|the old garden|the village|the green valley|the orchard|the dark wood|the old park|the pine wood
the sleepy village|the little town|the quiet valley|the snowy forest|the rose garden|the big barn|the old castle""".replace("\n", "|").split("|")
TREASURES = """lantern|drum|map|key|basket|blanket|bell|kite|ball|feather|shell|acorn|hat|flute|ribbon|button|cup|book|stone|ladder|wheel|whistle
mirror|candle|box|rope|scarf|spoon|umbrella|jar""".replace("\n", "|").split("|")

STARTS = [
    "once upon a time there was {a_hero} who lived in {place}.", "once upon a time, {a_hero} lived near {place}.", "one {morning|day|evening} {hero} {went for a walk in|walked through|sat in} {place}.",
    "{a_hero} lived {in|near} {place}, all alone in a {small|warm|round|crooked} house.", "in {place} there lived {a_hero}.", "there was once {a_hero} who loved {to sing|to run|the rain|the stars|to play|the sea}.",
    "it was a {sunny|cold|windy|rainy|warm|quiet} {day|morning} in {place}, and {hero} {was awake early|was at home|had nothing to do}.", "long ago, in {place}, there was {a_hero}.",
]

PLOTS = [
    [   # lost and found
        ["{kind} had {a_thing} that {he} loved {very much|more than anything}.", "{his} best thing was {{a_colour} {thing}|{a_thing}}.", "{he} always carried {{a_colour} {thing}|{a_thing}} with {him}."],
        ["but one day the {thing} was gone.", "one morning {he} could not find the {thing}.", "then a strong wind took the {thing} away."],
        ["{he} looked under the bed and behind the door, but it was not there.", "{he} looked in {place2} and under every stone.", "{he} was very sad and began to {cry|search}."],
        ["{a_friend} came by and asked, \"why are you so sad?\"", "then {he} met {a_friend}.", "\"what are you looking for?\" asked {a_friend}."],
        ["\"I have lost my {thing},\" said {kind}. \"will you help me?\"", "\"my {thing} is gone,\" said {kind}, \"and I do not know where it is.\""],
        ["they looked together all {day|afternoon|morning}.", "\"of course,\" said the {friend}, and they searched {place2} together.", "the {friend} had good eyes and looked up into the trees."],
        ["at last they found the {thing} {under a bush|in the tall grass|behind a big rock|high up in a tree|next to the water}.", "there it was! the {thing} lay {under a leaf|in the sand|between two stones}."],
        ["{kind} was so happy that {he} {danced|laughed|jumped} all the way home.", "\"thank you, {friend}!\" said {kind}. from that day on they were friends.", "and {kind} never lost the {thing} again."],
    ],
    [   # afraid, then brave
        ["{kind} was afraid of {the dark|the deep water|the thunder|high places}.", "there was one thing that {kind} did not like: {the dark|the big river|the loud wind}."],
        ["every {night|evening} {he} {hid under|stayed under} the blanket.", "so {he} never went far from home.", "the others laughed, but {kind} did not laugh."],
        ["one {night|evening} {he} heard a {small|sad|quiet} voice: \"help! help!\"", "one {night|evening} someone called for help in {place2}."],
        ["it was {an_other} who had {lost the way|fallen into a hole|hurt a foot}.", "{an_other} was stuck {between two rocks|in the mud|under a branch}."],
        ["{kind} took a deep breath. \"I must be brave,\" {he} said.", "{his} heart went boom, boom, boom, but {he} went out.", "\"I am afraid,\" said {kind}, \"but I will go.\""],
        ["{he} took the {thing} and walked step by step to the {other}.", "with the {thing} in front of {him}, {he} went on and on.", "{he} held the {thing} tight and did not look back."],
        ["{he} pulled and pulled until the {other} was free.", "\"hold on to the {thing}!\" {he} called, and {he} pulled the {other} out.", "together they found the way home."],
        ["\"you are so brave,\" said the {other}.", "\"thank you,\" said the {other}. \"you saved me.\""],
        ["after that night {kind} was not afraid any more.", "and {kind} {smiled|slept well} that night, without any fear.", "from then on {he} was known as the bravest in {place}."],
    ],
    [   # sharing
        ["{kind} found {a big {colour} apple|a basket of berries|a warm loaf of bread|a pot of honey} in {place2}.", "one day {kind} baked {a cake|a big pie|sweet buns}."],
        ["\"this is all mine,\" {he} said.", "{he} wanted to eat all of it alone.", "it smelled so good that {he} could not wait."],
        ["then {a_friend} came along. \"I am so hungry,\" said the {friend}.", "but at the door stood {a_friend}, cold and hungry."],
        ["{kind} looked at the food, and then {he} looked at the {friend}.", "{kind} thought for a long time.", "first {kind} said nothing."],
        ["\"come in,\" {he} said. \"we will share.\"", "\"here,\" {he} said, \"half of it is for you.\"", "{he} cut it into two equal parts."],
        ["they ate and laughed until the {moon|stars} came out.", "it tasted better than anything {he} had ever eaten alone."],
        ["before leaving, the {friend} gave {him} {{a_colour} {thing}|{a_thing}}. \"this is for you,\" said the {friend}.", "the next day the {friend} came back with {a_thing} as a gift."],
        ["{kind} learned that sharing makes everything better.", "and {kind} put the {thing} next to the window, where everyone could see it.", "since that day there were always two plates on the table."],
    ],
    [   # building
        ["{kind} wanted to build {a house|a boat|a bridge|a swing} in {place2}.", "one day {kind} had an idea. \"I will build {a boat|a bridge|a tower}!\" {he} said."],
        ["{he} had {count} {boards|sticks|logs} and {a_thing}.", "{he} needed wood, some nails and {a_thing}.", "{he} worked from morning until night."],
        ["but the wind blew and everything fell down.", "but it was too heavy for one alone.", "then the rain came, and it all broke."],
        ["{kind} sat down and sighed. \"I cannot do it,\" {he} said.", "\"oh no,\" said {kind}. \"it will never be ready.\""],
        ["{a_friend} and {an_other} saw it. \"we can help you,\" they said.", "soon {a_friend} came with {an_other}. \"let us try together,\" said the {friend}."],
        ["the {friend} held the wood, the {other} brought the rope, and {kind} used the {thing}.", "one carried, one pulled, and {kind} used the {thing} to make it strong."],
        ["after {count} days it was ready.", "when the sun went down, it was done.", "and this time it did not fall."],
        ["\"together we are strong,\" said {kind}, and all of them cheered.", "they sat on it side by side and looked at the {moon|stars|river}.", "it stood there for many, many years."],
    ],
    [   # a race
        ["one day there was a big race in {place2}.", "every year there was a race around {place2}.", "\"let us run a race!\" said {a_friend}."],
        ["the prize was {{a_colour} {thing}|{a_thing}}.", "the winner would get {{a_colour} {thing}|{a_thing}}."],
        ["{kind} wanted to win, but {he} was not very fast.", "{kind} wanted that {thing} more than anything.", "nobody thought that {kind} could win."],
        ["\"one, two, three, go!\" and off they went.", "the {friend} ran ahead, and {kind} came last.", "everyone started to run."],
        ["halfway, {kind} saw {an_other} who had fallen.", "on the way {an_other} sat by the road and cried."],
        ["{he} stopped at once and helped the {other} up.", "\"are you hurt?\" {he} asked, and {he} carried the {other} to the end.", "{he} forgot the race and sat down beside the {other}."],
        ["so {kind} came in last, with the {other} at {his} side.", "the {friend} won, and {kind} was the last of all."],
        ["but the {friend} said, \"the {thing} is for you, because you are kind.\"", "then the {friend} came and gave {him} the {thing}. \"you are the real winner,\" said the {friend}."],
        ["everyone clapped, and {kind} was very proud.", "{kind} smiled from ear to ear."],
    ],
    [   # stuck creature
        ["{he} heard a strange noise near {place2}.", "near {place2}, {kind} heard a small cry."],
        ["it was {an_other} with one foot in {a hole|a net|the mud}.", "there was {an_other}, stuck {in the mud|in a net|between two trees}."],
        ["\"please help me,\" said the {other}.", "\"I cannot get out,\" said the {other} in a small voice."],
        ["{kind} pulled, but it did not work.", "{kind} tried once, twice, three times, but nothing moved."],
        ["then {he} thought of the {thing} at home.", "\"wait here,\" said {kind}. \"I will bring my {thing}.\""],
        ["{he} ran home and came back with the {thing}.", "{he} ran as fast as {he} could to fetch it."],
        ["with the {thing} it was easy, and the {other} was free.", "they both held the {thing}, and pop, the {other} was out."],
        ["\"thank you,\" said the {other}. \"one day I will help you too.\"", "the {other} thanked {him} and gave {him} a hug."],
        ["then they walked home together under the {colour} sky.", "and the two of them drank hot tea in the warm kitchen."],
    ],
    [   # journey
        ["{kind} had never seen {the sea|the mountains|the city|snow}.", "{kind} dreamed of {the sea|the high mountains|the big city}."],
        ["so {he} packed {a_thing} and some bread and set off.", "early in the morning {he} took {a_thing} and went out into the world.", "{he} put {a_thing} into a bag and began to walk."],
        ["the road was long, and {his} feet hurt.", "{he} walked over hills and through {place2} for {count} days."],
        ["on the way {he} met {a_friend}. \"where are you going?\" asked the {friend}.", "by the road sat {a_friend} who was also alone."],
        ["\"far away,\" said {kind}. \"come with me!\"", "\"to see what I have never seen,\" said {kind}. \"do you want to come?\""],
        ["they walked side by side and sang songs.", "at night they slept under the stars, and the {thing} kept them safe."],
        ["and then, behind the last hill, there it was.", "at last they came to the top of a hill and saw it."],
        ["\"how big it is!\" said the {friend}.", "it was more beautiful than {he} had dreamed.", "{he} could not say a word."],
        ["they stayed until the sun went down, and then they went home.", "{kind} left the {thing} there, so that {he} would have to come back one day."],
    ],
    [   # learning
        ["{kind} wanted to learn to {sing|dance|swim|paint|bake|climb}.", "more than anything, {kind} wanted to {sing|dance|swim|paint}."],
        ["{he} tried and tried, but it was hard.", "the first time it went all wrong, and everyone laughed."],
        ["\"I will never learn it,\" {he} said and sat down in {place2}.", "{he} threw the {thing} on the ground and went away."],
        ["{a_friend} who was very {old|wise} heard it.", "then {a_friend} sat down next to {him}."],
        ["\"do a little every day,\" said the {friend}.", "\"nobody can do it on the first day,\" said the {friend}. \"I will show you.\""],
        ["the {friend} gave {him} {a_thing} to practise with.", "so {kind} practised every morning, with the {thing} beside {him}."],
        ["one week went by, then two, then three.", "day by day it became easier.", "after {count} weeks something had changed."],
        ["then came the big day in {place}. everyone was there.", "in spring there was a feast, and {kind} stood in front of all the others."],
        ["and {he} did it so well that all of them cheered.", "it was perfect. \"I knew it,\" said the {friend} softly."],
        ["\"thank you,\" said {kind}, and {he} gave the {friend} a big hug.", "now {kind} teaches the little ones, a little every day."],
    ],
    [   # a gift
        ["it was the birthday of {a_friend}, and {kind} had no gift.", "tomorrow was the birthday of the {friend}, the best friend of {kind}."],
        ["\"what can I give?\" {he} thought.", "{he} had no money and did not know what to do."],
        ["{he} went to {place2} to think.", "{he} asked {an_other}. \"give something from your heart,\" said the {other}."],
        ["there {he} found an old {thing} {in the grass|under a tree|by the path}.", "at home {he} had an old {thing} that nobody used."],
        ["it was dirty and broken.", "\"it does not look nice yet,\" {he} said."],
        ["{he} washed it, mended it and painted it {colour}.", "all night long {he} worked until the {thing} was {colour} and shiny."],
        ["when the {friend} opened the box, there was the {thing}.", "the next day {he} gave the {thing} to the {friend}."],
        ["\"this is the best gift of all,\" said the {friend}, \"because you made it.\"", "the {friend} was so happy that no words came out."],
        ["they ate cake and played until it was dark.", "and the {thing} had a place of honour for ever."],
    ],
    [   # a mystery noise
        ["one night {kind} heard a noise. tap, tap, tap.", "something was strange. every night there was a noise: tap, tap, tap."],
        ["\"who is there?\" {he} called, but nobody answered.", "{he} lit a candle and looked out, but there was nobody."],
        ["{he} took {a_thing} and went to look.", "with {a_thing} in one hand, {he} opened the door very slowly."],
        ["the noise came from {place2}.", "{he} followed the noise, past the well and over the bridge."],
        ["and there sat {an_other} with a {hammer|drum|stick}.", "it was only {an_other}, who could not sleep."],
        ["\"I am sorry,\" said the {other}. \"I am making something.\"", "\"did I wake you?\" asked the {other}. \"I feel so alone at night.\""],
        ["{kind} laughed. \"I thought you were a monster!\"", "\"then come to my house,\" said {kind}. \"we will drink some milk.\""],
        ["the {other} looked at the {thing}. \"can I hold it?\" \"yes,\" said {kind}.", "they played with the {thing} until they were both tired."],
        ["soon they were both fast asleep.", "after that the nights were quiet, and the two were good friends."],
    ],
    [   # a storm
        ["dark clouds came over {place2}, and the wind began to blow.", "that night a big storm came."],
        ["{kind} closed the window and lit the fire.", "the rain fell, and the trees went left and right."],
        ["then there was a knock at the door.", "knock, knock! somebody was outside."],
        ["it was {a_friend}, all wet. \"my house is gone,\" said the {friend}.", "there stood {a_friend} and {an_other}, cold and wet."],
        ["\"come in, quick!\" said {kind}.", "{kind} opened the door wide and gave them a warm blanket."],
        ["they sat by the fire, and {kind} showed them {a_thing}.", "to pass the time, {kind} told them about the {thing}."],
        ["when the storm was over, the sky was {colour}.", "in the morning the sun was back, and there was a rainbow."],
        ["all of them helped to build a new house for the {friend}.", "\"now we will build your house again,\" said {kind}."],
        ["and over the door they hung the {thing}.", "the new house was even better than the old one."],
    ],
    [   # a seed
        ["{kind} found a {small|round|strange} seed in {place2}.", "the wind brought a small seed to the door of {kind}."],
        ["\"what will you be?\" {he} asked.", "{he} did not know what it was, so {he} put it into the ground."],
        ["every day {he} gave it water.", "{he} gave it water and sang to it."],
        ["but nothing happened for a long time.", "the days went by, and there was only brown earth."],
        ["\"it is only a stone,\" said {a_friend}.", "{a_friend} laughed. \"nothing will grow there,\" said the {friend}."],
        ["but {kind} did not give up. {he} put {a_thing} next to it to keep it safe.", "\"wait and see,\" said {kind}, and {he} put the {thing} beside it."],
        ["then, one morning, there was a tiny green leaf.", "after the warm rain something green came out."],
        ["it grew and grew until it was taller than the house.", "in summer it had {count} {colour} flowers."],
        ["\"I was wrong,\" said the {friend}. \"it is wonderful.\"", "everyone came to see it, even the {friend}."],
        ["so {kind} learned that good things need time.", "and in autumn {kind} gave a seed to every friend."],
    ],
]
